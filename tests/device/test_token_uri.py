"""A token as one line and as a QR code: what goes in comes out, and nothing else is taken."""

import re
from io import StringIO
from pathlib import Path

import pytest
import segno
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator import token_code
from device_client.provisioning import Provisioning, ProvisioningError, load_provisioning
from device_client.token_uri import CHARS_MAX, SCHEME, from_uri, to_uri
from tests.certificates import authority

TOKEN = Provisioning("mynet", b"\x01" * 32, b"\xfe\xff" * 16, b"\x03" * 32, "server.example", 1883, 60, 1, 1440, 2)
LINE = to_uri(TOKEN.to_json())


def loaded(path: Path, text: str) -> Provisioning:
    path.write_text(text)
    return load_provisioning(path)


def test_the_line_is_as_documented() -> None:
    ones, threes = "AQEB" * 10 + "AQE", "AwMD" * 10 + "AwM"
    root = "_v_-__7__v_-__7__v_-__7__v_-__7__v_-__7__v8"
    keys = f"g={ones}&r={root}&t={threes}"
    assert f"edgetally:1?n=mynet&{keys}&h=server.example&p=1883&b=60&c=1,1440,2" == LINE


names = st.from_regex("[a-z0-9][a-z0-9-]{0,31}", fullmatch=True)
keys = st.binary(min_size=32, max_size=32)
hosts = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(names, keys, keys, keys, hosts, st.integers(1, 65535), st.sampled_from([(0, 0, 0), (1, 60, 2)]))
def test_what_goes_in_comes_out(
    tmp_path_factory: pytest.TempPathFactory, name: str, genesis: bytes, root: bytes, seed: bytes, host: str, port: int,
    calendar: tuple[int, int, int],
) -> None:  # fmt: skip
    token = Provisioning(name, genesis, root, seed, host, port, 60, *calendar)
    line = to_uri(token.to_json())
    assert line.isascii() and "\n" not in line
    if len(line) <= CHARS_MAX:
        assert loaded(tmp_path_factory.getbasetemp() / "token", line + "\n") == token


@pytest.mark.parametrize(
    "text",
    [
        "edgetally:2" + LINE[11:],
        LINE + "&x=1",
        LINE.replace("n=mynet&", ""),
        LINE.replace("n=mynet", "n=mynet&n=mynet"),
        LINE.replace("p=1883", "p=x"),
        LINE.replace("p=1883", "p=0"),
        LINE.replace("c=1,1440,2", "c=1,2"),
        LINE.replace("g=AQEB", "g=AQE*"),
        LINE.replace("AQE&", "AQF&"),  # the same bytes, written in another way
        LINE.replace("h=server.example", "h="),
        LINE + "a" * CHARS_MAX,
        SCHEME,
    ],
)
def test_anything_else_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ProvisioningError):
        loaded(tmp_path / "token", text)


def test_the_code_holds_the_line() -> None:
    code = token_code.made(TOKEN)
    # segno cannot read a code, but it makes the same one from the line, and another one from another line.
    assert code == segno.make(LINE, error="m", micro=False) != segno.make(LINE + "0", error="m", micro=False)
    assert int(code.version) <= 14 and code.error in ("M", "Q", "H")
    drawn = token_code.svg(code).decode()
    modules = sum(map(sum, code.matrix))
    strokes = re.findall(r"h(\d+)", drawn.split('stroke="#000"')[1])
    assert sum(map(int, strokes)) == modules and "secret" in drawn
    shown = StringIO()
    code.terminal(out=shown, compact=True)
    assert len(shown.getvalue().splitlines()) > 20


def test_tls_its_authority_and_the_day_go_along(tmp_path: Path) -> None:
    token = TOKEN._replace(tls=True, ca=authority().der, made_s=1_790_000_000)
    line = to_uri(token.to_json())
    assert line.startswith(LINE + "&m=1790000000&s=1&a=MI") and loaded(tmp_path / "token", line) == token
    assert token_code.made(token).version and len(line) < 1000
    public = TOKEN._replace(tls=True)
    assert loaded(tmp_path / "token", to_uri(public.to_json())) == public
    with pytest.raises(ValueError, match="at most"):
        to_uri(TOKEN._replace(tls=True, ca=bytes(3000)).to_json())


def test_from_uri_keeps_the_types_of_json() -> None:
    fields = from_uri(LINE)
    assert (fields["port"], fields["epoch_beacons"], fields["genesis"]) == (1883, 1440, "01" * 32)
