"""The password file: whatever happens to it, exactly those are in it who may connect."""

import hashlib
import tempfile
from base64 import b64decode
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.ingest import credentials
from coordinator.ingest.access import device_password
from coordinator.ingest.credentials import PasswordFile
from device_client.core.secret import broker_password

NAMES = st.sampled_from([bytes([number] * 16).hex() for number in range(6)])
SOME = st.dictionaries(NAMES, st.sampled_from(["one", "other"]), max_size=4)
STEPS = st.one_of(
    st.tuples(st.just("add"), SOME),
    st.tuples(st.just("write"), SOME),
    st.tuples(st.just("crash"), st.integers(0, 400)),
    st.tuples(st.just("torn"), st.integers(1, 100)),
)
BASIS = bytes(32)


def proved(line: str, password: str) -> bool:
    """As mosquitto does it."""
    _, scheme, iterations, salt, digest = line.rstrip("\n").split("$")
    assert (scheme, line[-1]) == ("7", "\n")
    return b64decode(digest) == hashlib.pbkdf2_hmac("sha512", password.encode(), b64decode(salt), int(iterations))


def assert_holds(path: Path, known: dict[str, str]) -> None:
    lines = path.open().readlines()
    assert sorted(line.partition(":")[0] for line in lines) == sorted(known)
    assert all(proved(line, known[line.partition(":")[0]]) for line in lines)


@settings(deadline=None)
@given(st.lists(STEPS, max_size=12))
def test_it_holds_exactly_the_known(steps: list[tuple[str, object]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "passwords"
        file, known = PasswordFile(path), dict[str, str]()
        file.write(known.items(), BASIS)
        for what, value in steps:
            if isinstance(value, dict):
                if what == "write":
                    known = value
                    file.write(value.items(), BASIS)
                else:
                    changes = any(known.get(name) != password for name, password in value.items())
                    known = {**known, **value}
                    assert file.add(value.items(), BASIS) == changes
            elif isinstance(value, int) and what == "crash":
                data = path.read_bytes()
                path.write_bytes(data[: max(0, len(data) - value)])
                file = PasswordFile(path)
                assert file.keep(BASIS) == path.read_bytes().endswith(b"\n")
                file.write(known.items(), BASIS)
            elif isinstance(value, int):
                # An append that failed, and so did undoing it.
                with path.open("a") as torn:
                    torn.write(credentials.hashed("f" * 32, "never")[:value])
                known = {**known, "e" * 32: f"with {value}"}
                assert file.add([("e" * 32, f"with {value}")], BASIS)
            assert_holds(path, known)
        assert file.size_bytes == path.stat().st_size


def test_it_is_kept_only_on_its_own_basis(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    file = PasswordFile(path)
    assert not file.keep(BASIS)
    file.write([("one", "secret")], BASIS)
    file.add([("two", "secret")], BASIS)
    again = PasswordFile(path)
    assert again.keep(BASIS) and again.size_bytes == path.stat().st_size
    assert not again.keep(b"other")
    again.add([("three", "secret")], b"other")
    assert again.keep(b"other") and not again.keep(BASIS)
    assert {one.name for one in tmp_path.iterdir()} == {"passwords", "passwords.basis"}
    assert all(one.stat().st_mode & 0o077 == 0 for one in tmp_path.iterdir())


def test_what_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "passwords"
    file = PasswordFile(path)
    file.write([("one", "secret")], BASIS)
    before = path.read_bytes()

    def broken() -> object:
        yield "two", "secret"
        raise OSError("the registry cannot be read")

    with pytest.raises(OSError, match="registry"):
        file.write(broken(), BASIS)  # type: ignore[arg-type]
    assert path.read_bytes() == before and file.keep(BASIS)
    assert [one for one in tmp_path.iterdir() if one.suffix == ".tmp"] == []


def test_the_fast_password_is_the_device_s() -> None:
    for seed, device in ((bytes(32), bytes(16)), (bytes(range(32)), bytes(range(16)))):
        assert device_password(seed, device) == broker_password(seed, device)
