"""The application of a board: `/main.py` calls `main(safe)`, and starts the board anew when that raises."""

import gc
import sys


def main(safe):
    """`safe`: safe mode, the link and the updater alone."""
    import kickoff

    try:
        device, board = kickoff.ready(safe)
    except kickoff.Refused as refused:
        kickoff.stand(refused)
    except Exception:
        kickoff.remember_fault()
        raise
    del kickoff
    core = sys.modules["device_client.core"]
    if hasattr(core, "secret"):
        del core.secret
    for name in ("kickoff", "keys", "start", "provisioning", "device_client.core.secret"):
        sys.modules.pop(name, None)
    gc.collect()
    import asyncio

    try:
        asyncio.run(run(device, board))
    except Exception:
        board.kept.set_number("failed_with", 1)  # for the next start, which tells it
        raise


async def run(device, board):
    """The shell's loop, the station and the LED. A fault in one of them ends all."""
    import asyncio

    for part in (board.wifi, board.lamp):
        asyncio.create_task(guarded(part.run(), board))
    await device.run()


async def guarded(work, board):
    try:
        await work
    except Exception as fault:
        board.fault = fault  # raised with the next turn of the loop
