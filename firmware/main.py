"""The device as a process of the unix MicroPython: `micropython -X heapsize=96wK -O3 main.py PROVISIONING.json`.

It finds its modules beside itself and `device_client` in the folder above. Exit codes: 0 after Ctrl-C, 1 if the state
cannot be used, 2 if the provisioning cannot. A board has a `main` of its own and the same files otherwise.
"""

import gc
import sys

HERE = sys.path[0]  # MicroPython puts the folder of the script there
sys.path[:] = [HERE, HERE + "/lib", HERE + "/..", ".frozen"]

# Compiling takes several times what remains, so the largest comes first, while the heap is empty.
for name in ("ed25519", "mqtt_wire", "link", "device_client.core.client", "shell"):
    gc.collect()
    __import__(name)
gc.collect()

import board  # noqa: E402
import shell  # noqa: E402

sys.exit(shell.main(sys.argv[1:], board))
