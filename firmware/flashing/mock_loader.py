"""A mock boot loader in a process of its own: esp32-mock-bootloader's, with a flash chip that ends up in a file.

    python -m firmware.flashing.mock_loader CHIP FLASH.bin

It says its TCP port on stdout, serves one session after the other, and writes the flash to the file when its standard
input ends. An existing file is what the flash holds at the start. Reading 2 MB back through the protocol would take a
quarter of a minute; this way nothing has to be read.
"""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from .trouble import FlashError

START_S, END_S = 20, 20


@contextlib.contextmanager
def mock_board(chip: str, flash: Path) -> Iterator[str]:
    """The pyserial URL of a board without hardware; `flash` is what its flash holds when the context has ended."""
    command = [sys.executable, "-m", __name__, chip, str(flash)]
    root = Path(__file__).resolve().parents[2]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root)
    try:
        assert child.stdout is not None
        port = child.stdout.readline().strip()
        if not port:
            raise FlashError("no_answer", "the mock boot loader does not start; is esp32-mock-bootloader installed?")
        yield f"socket://127.0.0.1:{int(port)}"
        child.communicate(timeout=END_S)
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()


def main(chip: str, flash: Path) -> None:
    import socket

    from esp32_mock_bootloader.server import BootloaderConnection, FlashImage, handle_client

    image = FlashImage()
    if flash.exists():
        held = flash.read_bytes()
        image.data[: len(held)] = held
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)

    def serve() -> None:
        while True:
            handle_client(BootloaderConnection(sock=listener.accept()[0]), threading.Event(), chip, flash=image)

    threading.Thread(target=serve, daemon=True).start()
    sys.stdin.buffer.read()
    flash.write_bytes(image.data)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
