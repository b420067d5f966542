"""Reading a board's serial line: when it is done, and what is wrong when it is not."""

import json

import pytest

from firmware.flashing.follow import LINES_MAX, TROUBLES, Follower, Line, follow
from firmware.flashing.trouble import FlashError


def status(online: bool = True, enrolled: bool = True, receipts: int = 1, refused: dict[str, int] | None = None) -> str:
    told = {"online": online, "enrolled": enrolled, "receipts": receipts, "device": "ab" * 16, "refused": refused or {}}
    return json.dumps(told)


def fed(*lines: str) -> Follower:
    follower = Follower()
    for line in lines:
        follower.feed(line)
    return follower


def test_done_is_enrolled_and_a_receipt() -> None:
    follower = Follower()
    stages = []
    for line in ("rst:0x1 (POWERON_RESET)", status(False, False, 0), status(True, False, 0), status(True, True, 0)):
        follower.feed(line)
        stages.append(follower.stage)
        assert not follower.done
    assert stages == ["starting", "no link", "enrolling", "enrolled"]
    follower.feed(status())
    assert follower.done and follower.device == "ab" * 16


# What the boot ROM of an ESP32, MicroPython's `inisetup.py` and this firmware print.
SAID = {
    "download_mode": "waiting for download",
    "brownout": "Brownout detector was triggered",
    "no_program": "invalid header: 0xffffffff",
    "bad_table": "E (32) boot: partition table: MD5 does not match",
    "corrupt": "The filesystem appears to be corrupted. If you had important data there, you",
    "no_application": "edgetally: no application can run; connect USB and run: edgetally flash --update",
    "prompt": ">>> ",
    "no_memory": "MemoryError: memory allocation failed, allocating 4096 bytes",
    "too_old": "ValueError: incompatible .mpy file",
    "provisioning_refused": "edgetally: provisioning_refused /provisioning.json: wifi is not accepted",
    "outbox_refused": "edgetally: outbox_refused the partition table has no outbox; flash this board again",
    "wifi_absent": "edgetally: wifi_absent home 201",
    "wifi_refused": "edgetally: wifi_refused home",
    "broker_refused": "edgetally: broker_refused 5",
    "certificate_refused": "edgetally: certificate_refused",
}


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda one: one.code)
def test_each_trouble_is_named(trouble) -> None:  # type: ignore[no-untyped-def]
    follower = fed("rst:0x1", SAID[trouble.code], "something else")
    reason = follower.diagnosis()
    assert reason.code == "not_running" and str(reason) == f"{trouble.code}: {trouble.text}"


def test_a_trouble_that_is_over_is_no_diagnosis() -> None:
    follower = fed("edgetally: wifi_refused 202", status(online=True, enrolled=False, receipts=0))
    assert "hears no coordinator" in str(follower.diagnosis())


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "says nothing"),
        (["boot"], "the client does not: boot"),
        ([status(False, False, 0)], "does not reach the broker"),
        ([status(True, False, 0)], "hears no coordinator"),
        ([status(True, True, 0)], "no receipt came"),
        ([status(True, False, 0, {"23": 1})], "refuses the board: "),
    ],
)
def test_without_a_trouble_the_state_says_where_it_ends(lines: list[str], said: str) -> None:
    assert said in str(fed(*lines).diagnosis())


def test_whatever_a_board_says_is_bounded_and_harmless() -> None:
    follower = fed(
        *["x" * 5000] * 100, "{", '{"device": 5}', "[]", '{"device": "a", "receipts": "many", "enrolled": 1}'
    )
    assert len(follower.lines) == LINES_MAX and max(map(len, follower.lines)) <= 400
    assert not follower.done and follower.receipts == 0


class Port:
    """A serial port that has these lines and then is silent."""

    def __init__(self, *lines: bytes) -> None:
        self._lines = list(lines)

    def readline(self) -> bytes:
        return self._lines.pop(0) if self._lines else b""


def test_a_port_is_read_until_the_receipt_or_the_end_of_time() -> None:
    told: list[str] = []
    port = Port(b"\xff\xfe\r\n", status().encode() + b"\r\n", b"never read\r\n")
    assert follow(port, 5, lambda stage, _: told.append(stage)).done and told == ["starting", "first receipt"]
    assert port.readline() == b"never read\r\n"
    with pytest.raises(FlashError, match="wifi_refused"):
        follow(Port(b"edgetally: wifi_refused 202\n"), 0.05)


def test_a_port_that_goes_away_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    import serial

    class Gone(Port):
        def readline(self, size: int = -1) -> bytes:
            if not self._lines:
                raise serial.SerialException("device disconnected")
            return super().readline()

        def close(self) -> None:
            closed.append(self)

    closed: list[Gone] = []
    opened = [Gone(b"rst:0x1 (POWERON_RESET)\r\n"), Gone(), Gone(status().encode() + b"\r\n")]
    monkeypatch.setattr(serial, "serial_for_url", lambda *_, **__: opened.pop(0))
    monkeypatch.setattr(Line, "AGAIN_S", 0.0)
    told: list[str] = []
    line = Line("/dev/ttyACM0")
    assert follow(line, 20, lambda stage, _: told.append(stage)).device == "ab" * 16
    assert told == ["starting", "first receipt"] and (len(opened), len(closed)) == (0, 2)
    line.close()
    assert len(closed) == 3
