"""The device as a process of the unix MicroPython: `micropython -X heapsize=80K -O3 main.py PROVISIONING.json`.

It finds its modules beside itself, and `device_client` there, too, or in the folder above: `build.py` makes the folder
of bytecode that runs in a heap of 80 KiB, sources need more. Exit codes: 0 after Ctrl-C, 1 if the state cannot be used,
2 if the provisioning cannot. A board has a `main` of its own and the same files otherwise.
"""

import gc
import sys

gc.threshold(1_024)  # what is kept lies close together, or a full heap has room in pieces only
HERE = sys.path[0]  # MicroPython puts the folder of the script there
sys.path[:] = [HERE, HERE + "/lib", HERE + "/..", ".frozen"]


def ready(arguments):
    """The shell, or an exit code when the reason was told."""
    if len(arguments) != 1:
        sys.stderr.write("usage: main.py PROVISIONING.json\n")
        return 2
    import provisioning

    try:
        given = provisioning.load(arguments[0])
    except provisioning.Refused as refused:
        sys.stderr.write("%s\n" % refused)
        return 2
    forget("provisioning")
    body = bytearray(1_152)  # mqtt_packets.BODY_BYTES
    # Compiling takes several times what remains, so the largest comes first, while the heap is empty.
    for name in ("ed25519", "device_client.core.client", "link", "shell", "start"):
        gc.collect()
        __import__(name)
    import link
    import start

    link.Link.body = body
    del body
    gc.collect()
    try:
        return start.ready(given)
    except OSError as trouble:
        sys.stderr.write("state_dir %s: %s\n" % (given[8], trouble))
    except ValueError as trouble:
        sys.stderr.write("%s\n" % trouble)
    return 1


def forget(*names):
    """Drop modules that were needed at the start only."""
    for name in names:
        sys.modules.pop(name, None)
    gc.collect()


device = ready(sys.argv[1:])
if not isinstance(device, int):
    del ready
    del sys.modules["device_client.core"].secret
    forget("start", "identity", "device_client.core.secret")
    device = device.main()
sys.exit(device)
