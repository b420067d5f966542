"""A mock boot loader in a process of its own: esp32-mock-bootloader's, with a flash chip that ends up in a file.

    python -m firmware.flashing.mock_loader CHIP MEGABYTES FLASH.bin

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

END_S = 20
MAKER = 0x4020  # of the flash chip that esp32-mock-bootloader imitates


@contextlib.contextmanager
def mock_board(chip: str, flash: Path, flash_mb: int = 4) -> Iterator[str]:
    """The pyserial URL of a board without hardware; `flash` is what its flash holds when the context has ended."""
    command = [sys.executable, "-m", __name__, chip, str(flash_mb), str(flash)]
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


def main(chip: str, flash_mb: int, flash: Path) -> None:
    import socket

    from esp32_mock_bootloader import protocol
    from esp32_mock_bootloader.server import BootloaderConnection, FlashImage, handle_client

    size = flash_mb << 20
    protocol.FLASH_MOCK_SIZE = size
    protocol.MOCK_FLASH_ID = (size.bit_length() - 1) << 16 | MAKER  # JEDEC: the capacity as a power of two
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
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
