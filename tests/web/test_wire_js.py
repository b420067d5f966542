"""static/wire.js in a real Chromium: the vectors of the wire, judged as the devices' core judges them."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from coordinator.engine import log
from coordinator.engine.proofs import Tree
from device_client.core import cbor, cose, merkle, proofs
from tests.core import judge
from tests.core.parts import VECTORS, vectors, verify
from tests.firmware import ed25519_cases
from tests.vectors.parts import key
from tests.web.chromium import launched
from tests.web.serving import Client

JUDGE = (Path(__file__).parent / "judge.js").read_text().partition("\n")[2]
REFUSED = "refused"
Judged = Callable[[str, Any], list[str]]


@pytest.fixture(scope="module")
def judged(client: Client) -> Iterator[Judged]:
    with launched() as browser:
        page = browser.new_page()
        page.goto(client.url)
        yield lambda name, everything: page.evaluate(JUDGE, [name, everything])


def tree(value: Any) -> str:
    """A value of cbor.json in the judge's spelling."""
    if isinstance(value, dict):
        pairs = value.get("map", [])
        return str(value["hex"]) if "hex" in value else "{" + " ".join(f"{tree(k)}:{tree(v)}" for k, v in pairs) + "}"
    return "[" + " ".join(map(tree, value)) + "]" if isinstance(value, list) else str(value)


def hexes(everything: Any) -> Any:
    """Without the values that JSON in a browser would round."""
    kept = ("name", "hex")
    return {key: [{name: one[name] for name in kept} for one in everything[key]] for key in ("vectors", "invalid")}


def without_rounding(everything: Any) -> Any:
    """Readings as wide as they are: the numbers in them would be rounded on the way."""

    def narrow(vector: Any) -> Any:
        width = [[0] * len(vector["readings"][0])] if vector.get("readings") else []
        return {name: vector[name] for name in ("name", "message", "hex") if name in vector} | {"readings": width}

    fixed = {name: value for name, value in everything.items() if isinstance(value, str)}
    return fixed | {key: [narrow(one) for one in everything[key]] for key in ("vectors", "invalid")}


def test_cbor_is_read_and_written_as_the_core_does(judged: Judged) -> None:
    everything = vectors("cbor")
    lines = judged("cbor", hexes(everything))
    assert lines == [tree(one["value"]) for one in everything["vectors"]] + [REFUSED] * len(everything["invalid"])


def test_statements_are_judged_as_the_core_does(judged: Judged) -> None:
    everything = vectors("statements")
    names = [one["name"] for one in everything["vectors"] + everything["invalid"]]
    expected = [
        line.removeprefix(name).removeprefix(": ")
        for line, name in zip(judge.judged("statements", everything, verify), names, strict=True)
    ]
    assert judged("statements", without_rounding(everything)) == expected
    assert expected.count(REFUSED) == len(everything["invalid"])


def test_certificates_and_receipts_are_judged_as_the_core_does(judged: Judged) -> None:
    everything = vectors("certificates")
    lines = judged("certificates", everything | {"vectors": [{"hex": one["hex"]} for one in everything["vectors"]]})
    assert lines[: len(everything["vectors"])] == [
        str(len(cbor.decode(bytes.fromhex(one["hex"])))) for one in everything["vectors"]
    ]
    assert lines[len(everything["vectors"]) :] == [REFUSED] * len(everything["invalid"])
    everything = vectors("receipts")
    bare = {key: [{"hex": one["hex"]} for one in everything[key]] for key in ("vectors", "invalid")}
    lines = judged("receipts", everything | bare)
    wanted = [judge.shown((one["incarnation"], one["slot"], one["rows"])) for one in everything["vectors"]]
    assert lines == wanted + [REFUSED] * len(everything["invalid"])


def test_owner_messages_are_signed_to_the_same_bytes(judged: Judged) -> None:
    """Ed25519 is deterministic: the browser's envelope is the one in the vectors, byte for byte."""
    everything = json.loads((VECTORS / "owner.json").read_text())
    of_account = {
        cose.signer_id(bytes(key(name).verify_key)): key(name) for name in ("coordinator", "alice", "stranger")
    }
    asked, wanted = [], []
    for vector in everything["vectors"]:
        signing = of_account[bytes.fromhex(vector["account"])]
        payload = cose.unwrap(bytes.fromhex(vector["hex"])).payload.hex()
        asked.append({"seed": bytes(signing).hex(), "account": vector["account"], "payload": payload})
        wanted.append(judge.shown([bytes(signing.verify_key), vector["hex"], vector["id"]]))
    assert judged("owner", {"genesis": everything["genesis"], "vectors": asked}) == wanted


def test_trees_and_paths(judged: Judged) -> None:
    everything = vectors("merkle")
    assert judged("merkle", everything) == [one["root"] for one in everything["vectors"]]
    chance, asked, wanted = random.Random(9162), [], []
    for size in (1, 2, 3, 7, 8, 33, 100):
        held = Tree([bytes([at]) for at in range(size)])
        for index in {0, size // 2, size - 1}:
            path = held.path(index)
            leaf = merkle.leaf_hash(bytes([index]))
            for changed in (path, path[:-32], path + bytes(32), path[:-1], bytes(32 * 65)):
                for place, of in ((index, size), (size, size), (index, size + 1), (chance.randrange(size), size)):
                    asked.append([leaf.hex(), place, of, changed.hex()])
                    try:
                        wanted.append(proofs.root_from(leaf, place, of, changed).hex())
                    except proofs.Wrong:
                        wanted.append(REFUSED)
    assert judged("paths", {"vectors": asked}) == wanted
    assert 50 < wanted.count(REFUSED) < len(wanted) - 50


def test_signatures_are_judged_as_libsodium_does(judged: Judged) -> None:
    """Malleated, non-canonical, of small and of mixed order: every answer is libsodium's."""
    published = [
        tuple(bytes.fromhex(one[name]) for name in ("public", "message", "signature"))
        for one in vectors("ed25519")["vectors"]
    ]
    cases = [*published, *ed25519_cases.cases()]
    lines = judged("ed25519", {"vectors": [[part.hex() for part in case] for case in cases]})
    expected = [str(ed25519_cases.expected(case)).lower() for case in cases]  # type: ignore[arg-type]
    assert [case for case, line, want in zip(cases, lines, expected, strict=True) if line != want] == []
    assert expected.count("true") > 200


def test_checkpoints_are_read_as_the_engine_does(judged: Judged) -> None:
    signing = SigningKey(bytes(32))
    public = bytes(signing.verify_key)
    text = log.Checkpoint("edgetally/a/0011223344556677", 7, bytes(range(32))).text()
    note = log.signed_note(
        text, "edgetally/a/0011223344556677", public, lambda data: signing.sign(data).signature
    ).decode()
    hostile = [
        note,
        note.replace("\n7\n", "\n8\n"),
        note.replace("\n7\n", "\n07\n"),
        note.replace("/a/", "/b/"),
        note.replace("/a/", "/b/", 1),
        note + "\n",
        note[:-1],
        note.replace("\u2014", "-"),
        note.replace("=\n", "\n", 1),
        note.replace("\n\n", "\n"),
        note + note.split("\n")[4] + "\n",
        "",
        note.replace("\n7\n", "\n7\nextra\n"),
    ]
    lines = judged("notes", {"vectors": [[one, public.hex()] for one in hostile]})
    expected = []
    for one in hostile:
        try:
            found = log.opened_checkpoint(
                one.encode(), {log.parse_checkpoint(one.encode())[0].origin}, [public], verify
            )
            expected.append(f"[{found.origin} {found.size} {found.root.hex()}]")
        except log.BadNote:
            expected.append(REFUSED)
    assert lines == expected
    assert expected.count(REFUSED) == len(hostile) - 1
