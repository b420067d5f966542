"""The vectors of the wire: regenerated, and judged alike by the core on two interpreters and by the coordinator."""

import pytest

from tests.core import coordinator_judge, judge
from tests.core.parts import FILES, VECTORS, micropython, micropython_built, vectors, verify
from tests.vectors import make


def lines_of(name: str) -> list[str]:
    return judge.judged(name, vectors(name), verify)


def test_regenerated_they_are_the_same_bytes() -> None:
    made = make.files()
    assert set(made) == {"owner.json", "login.json", *(f"{name}.json" for name in FILES)}
    assert [name for name, text in made.items() if (VECTORS / name).read_text() != text] == []


@pytest.mark.parametrize("name", FILES)
def test_the_core_accepts_the_valid_and_refuses_the_invalid(name: str) -> None:
    everything = vectors(name)
    lines = lines_of(name)
    valid = len(everything["vectors"])
    assert [line for line in lines[:valid] if line.endswith(judge.REFUSED)] == []
    assert [line for line in lines[valid:] if not line.endswith(judge.REFUSED)] == []


@pytest.mark.parametrize("name", FILES)
def test_micropython_judges_alike(name: str) -> None:
    for run in (micropython, micropython_built):
        assert run("judge_device.py", str(VECTORS / f"{name}.json")).splitlines() == lines_of(name)


@pytest.mark.parametrize("name", coordinator_judge.LINES)
def test_the_coordinator_judges_alike(name: str) -> None:
    assert coordinator_judge.judged(name, vectors(name)) == lines_of(name)


def test_statements_say_what_is_decoded() -> None:
    everything = vectors("statements")
    genesis = bytes.fromhex(everything["genesis"])
    for vector in everything["vectors"]:
        key, message = bytes.fromhex(vector["public_key"]), bytes.fromhex(vector["message"])
        identity, said, sets = judge.opened(message, key, genesis, judge.channels_of(vector), verify)
        assert identity.hex() == vector["statement_id"]
        assert said.payload().hex() == vector["payload"]
        assert (said.nonce.hex(), said.prev.hex()) == (vector["eat_nonce"], vector["prev"])
        assert (said.uptime_s, said.boot, said.kind, said.seq) == tuple(
            vector[name] for name in ("uptime_s", "bootcount", "kind", "seq")
        )
        assert said.body == judge.tree(vector["body"])
        assert sets == vector["readings"]


def test_coordinators_words_say_what_is_decoded() -> None:
    for vector, line in zip(vectors("beacons")["vectors"], lines_of("beacons"), strict=False):
        names = ("quote", "incarnation", "number", "time", "nonce", "next_nonce_hash", "log_size", "log_root")
        assert line.endswith(judge.shown([vector[name] for name in (*names, "intake_root")]))
    for vector, line in zip(vectors("receipts")["vectors"], lines_of("receipts"), strict=False):
        assert line.endswith(judge.shown((vector["incarnation"], vector["slot"], vector["rows"])))
    for vector, line in zip(vectors("certificates")["vectors"], lines_of("certificates"), strict=False):
        assert line.endswith(judge.shown([at["public_key"] for at in vector["keys_at"]]))


def test_hashes_and_secrets_say_what_is_computed() -> None:
    for vector, line in zip(vectors("merkle")["vectors"], lines_of("merkle"), strict=True):
        assert line.endswith(vector["root"])
    for vector, line in zip(vectors("secrets")["vectors"], lines_of("secrets"), strict=True):
        names = ("device_id", "token_message", "broker_password", "token_password")
        topics = [vector[name].removesuffix("/up") for name in ("enroll", "up")]
        assert line.endswith(judge.shown([*(vector[name] for name in names), *topics]))
        assert vector["enroll"].split("/")[3] == vector["token_username"]
        assert vector["up"].split("/")[2] == vector["device_id"][:2]


def test_there_are_enough_of_both() -> None:
    assert len(vectors("cbor")["vectors"]) >= 50 and len(vectors("cbor")["invalid"]) >= 80
    assert len(vectors("statements")["vectors"]) >= 10 and len(vectors("statements")["invalid"]) >= 120
    assert len(vectors("merkle")["vectors"]) >= 9
