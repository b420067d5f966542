"""Run a flash dump as a board would: `micropython start.py FLASH.bin [--scenario FILE.json]`.

As MicroPython for the ESP32 starts (`_boot.py`, `inisetup.py`): the file system in the partition `vfs` is mounted at
`/`, an empty one is made first, then /boot.py and /main.py run. How it ends: `ends.py`. With `micropython -i` the
prompt follows.
"""

import sys

HERE = sys.path[0]
CAUSES = " POWERON_RESET EXT_RESET TG1WDT_SYS_RESET DEEPSLEEP_RESET SW_RESET".split(" ")


def power_on(flash_path, scenario_path):
    """Mount the file system. Raises SystemExit."""
    import ends
    import esp32
    import flash
    import machine
    import neopixel as neopixel  # frozen in a board's firmware, like the next one
    import network
    import onewire as onewire
    import vfs
    import world

    host = vfs.VfsPosix()
    world.attach(host, scenario_path)
    machine.attach(host, flash_path + ".rtc")
    size = host.stat(flash_path)[6]
    print("rst:0x%x (%s)" % (machine.reset_cause(), CAUSES[machine.reset_cause()]))
    try:
        esp32.attach(flash.Flash(host.open(flash_path, "r+b"), size))
    except flash.NoTable as trouble:
        print("E (32) boot: %s" % trouble)
        sys.exit(ends.NO_BOOT)
    sys.modules["socket"] = network.socket()
    for path in world.now("attach", ()):
        run(path, host.open)
    sys.path[:] = ["", ".frozen", "/lib"]
    vfs.umount("/")
    mount(vfs, esp32.Partition.find(1, label="vfs"))


def mount(vfs, found):
    if not found:
        return
    device = found[0]
    try:
        vfs.mount(vfs.VfsLfs2(device), "/")
    except OSError:
        first = bytearray(device.ioctl(5))
        device.readblocks(0, first)
        if first != b"\xff" * len(first):
            import ends

            print("The filesystem appears to be corrupted.")
            sys.exit(ends.CORRUPT)
        print("Performing initial setup")
        vfs.VfsLfs2.mkfs(device)
        vfs.mount(vfs.VfsLfs2(device), "/")
        with open("/boot.py", "w") as file:
            file.write("# This file is executed on every boot (including wake-boot from deepsleep)\n")


def run(path, opener):
    """Execute a file as `__main__`, if it is there."""
    try:
        with opener(path, "r") as file:
            text = file.read()
    except OSError:
        return
    exec(compile(text, path, "exec"), {"__name__": "__main__"})


def main(arguments):
    import ends

    scenario = None
    if len(arguments) == 3 and arguments[1] == "--scenario":
        scenario = arguments[2]
    elif len(arguments) != 1:
        sys.stderr.write("usage: start.py FLASH.bin [--scenario FILE.json]\n")
        sys.exit(2)
    import os

    here = os.getcwd()
    full = [path if path is None or path[0] == "/" else here + "/" + path for path in (arguments[0], scenario)]
    power_on(*full)
    for path in ("/boot.py", "/main.py"):
        try:
            run(path, open)
        except SystemExit as end:
            import machine

            if end.args != (ends.SOFT_RESET,):
                machine.soft_reset()
            raise
        except BaseException as fault:
            sys.print_exception(fault)
    print("MicroPython; simulated board\n>>> ")
    sys.exit(ends.PROMPT)


main(sys.argv[1:])
