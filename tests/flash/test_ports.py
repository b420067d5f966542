"""Finding boards on serial ports, and what is said to those who have none."""

from types import SimpleNamespace

import pytest

from firmware.flashing.ports import BRIDGES, Port, boards, check_access, choose_port, find_ports
from firmware.flashing.trouble import FlashError


def listed(*ports: tuple[str, int | None, int | None]) -> list[Port]:
    return find_ports(lambda: [SimpleNamespace(device=d, vid=v, pid=p, description="a port") for d, v, p in ports])


def test_boards_are_known_by_their_usb_numbers() -> None:
    found = listed(
        ("/dev/ttyS0", None, None),
        ("/dev/ttyUSB1", 0x10C4, 0xEA60),
        ("/dev/ttyACM0", 0x303A, 0x1001),
        ("/dev/ttyUSB0", 0x1A86, 0x1234),
    )
    assert [port.device for port in found] == ["/dev/ttyACM0", "/dev/ttyUSB1", "/dev/ttyS0", "/dev/ttyUSB0"]
    assert [port.what for port in boards(found)] == ["Espressif USB", BRIDGES[(0x10C4, 0xEA60)]]


def test_the_only_board_is_taken_and_several_have_to_be_named() -> None:
    one = ("/dev/not-there", 0x303A, 0x1001)
    assert choose_port(listed(one, ("/dev/ttyS0", None, None))) == "/dev/not-there"
    with pytest.raises(FlashError, match="--many") as caught:
        choose_port(listed(one, ("/dev/other", 0x1A86, 0x7523)))
    assert caught.value.code == "no_port" and "/dev/other (WCH CH340)" in str(caught.value)


def test_without_a_board_the_message_lists_what_was_looked_for() -> None:
    with pytest.raises(FlashError) as caught:
        choose_port(listed(("/dev/ttyS0", None, None)))
    text = str(caught.value)
    assert all(name in text for name in (*BRIDGES.values(), "303a", "/dev/ttyS0", "dialout", "--simulate", "--port"))
    with pytest.raises(FlashError, match="no serial port at all"):
        choose_port([])


def test_a_port_that_may_not_be_opened_names_the_group(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    port = tmp_path / "ttyUSB0"
    port.touch()
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(FlashError, match="usermod -aG") as caught:
        check_access(str(port))
    assert caught.value.code == "port_denied"
