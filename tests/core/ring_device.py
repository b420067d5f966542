"""Runs on MicroPython: both sweeps of power cuts on the ring, and the real LittleFS on the same block device."""

import vfs

from tests.core import ring_bench, ring_life
from tests.core.nor import Nor

nor = Nor(32)
vfs.VfsLfs2.mkfs(nor)
vfs.mount(vfs.VfsLfs2(nor), "/nor")
with open("/nor/file", "w") as file:
    file.write("a real block device")
vfs.umount("/nor")
vfs.mount(vfs.VfsLfs2(nor), "/nor")
with open("/nor/file") as file:
    assert file.read() == "a real block device"

for bench in (ring_bench, ring_life):
    swept = bench.Sweep().run()
    print(swept.points, swept.trace.digest().hex())
