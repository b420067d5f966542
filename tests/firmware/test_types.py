"""What the type checker of the firmware sees: `make lint` runs it over all of it, here a wrong call must not pass."""

from pathlib import Path

import pytest

from tests.firmware.board_types import checked, modules

RIGHT = """
import asyncio
import esp32
import link
import machine
from device_client.core import cose

def work(partition: esp32.Partition) -> bytes:
    machine.Pin(4, machine.Pin.OUT).value(1)
    partition.readblocks(0, bytearray(16), 0)
    return cose.signer_id(bytes(32))
"""


def test_what_is_right_passes(tmp_path: Path) -> None:
    file = tmp_path / "rehearsal.py"
    file.write_text(RIGHT)
    done = checked(file)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("machine.Pin(4).blink()", '"Pin" has no attribute "blink"'),
        ("machine.deepsleep('long')", 'No overload variant of "deepsleep"'),
        ("cose.signer_id('text')", 'incompatible type "str"; expected "bytes"'),
        ("link.Link('host')", "Missing positional arguments"),
        ("asyncio.TaskGroup()", 'has no attribute "TaskGroup"'),
        ("import typing_of_nobody", "Cannot find"),
    ],
)
def test_what_a_board_does_not_have_is_seen(tmp_path: Path, line: str, told: str) -> None:
    file = tmp_path / "rehearsal.py"
    file.write_text(f"{RIGHT}    {line}\n".replace("    return cose.signer_id(bytes(32))\n", "") + "    return b''\n")
    done = checked(file)
    assert done.returncode == 1 and told in done.stdout


def test_all_of_the_firmware_is_looked_at() -> None:
    assert {"link", "shell", "start", "kickoff", "wifi", "updating", "slots", "contact"} <= set(modules())
