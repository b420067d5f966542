"""The raw REPL of a board's MicroPython, by mpremote's transport."""

import contextlib
import io
from collections.abc import Iterator
from typing import Any

from .trouble import FlashError

BAUD = 115_200
INTERRUPTS_MAX = 3
SETTLE_S = 0.7
ANSWER_S = 10  # what stands between us and the board may be busy: a command that is cut off ends an update


def _interrupt(transport: Any) -> None:
    """Ctrl-C until there is a prompt: what runs may need a moment to end."""
    for _ in range(INTERRUPTS_MAX):
        transport.serial.write(b"\r\x03")
        if transport.read_until(1, b">>> ", timeout=2, timeout_overall=4).endswith(b">>> "):
            transport.read_until(1, b"\0", timeout=SETTLE_S, timeout_overall=4)  # whatever else it had to say
            return


@contextlib.contextmanager
def opened(port: str, soft_reset: bool = True) -> Iterator[Any]:
    """Stop what runs and start afresh at the prompt, without `/main.py`. Raises FlashError."""
    from mpremote.transport import TransportError
    from mpremote.transport_serial import SerialTransport

    quiet = io.StringIO()  # mpremote prints what it did not understand
    try:
        transport = SerialTransport(port, baudrate=BAUD, timeout=1)
    except (TransportError, OSError) as error:
        raise FlashError("no_answer", f"{port}: {error}; is it open in another program?") from None
    try:
        with contextlib.redirect_stdout(quiet):
            _interrupt(transport)
            transport.enter_raw_repl(soft_reset=soft_reset)
        transport.serial.timeout = ANSWER_S
        yield transport
    except TransportError as error:
        text = "no MicroPython answers; is it flashed? else flash it without --update"
        raise FlashError("no_answer", f"{port}: {error}: {text}") from None
    finally:
        with contextlib.suppress(Exception):
            transport.close()
