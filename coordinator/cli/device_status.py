"""`edgetally device status`: what a device holds and has proved to itself, read without touching its state."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from coordinator.kernel.amounts import tokens
from device_client.core import asking, cose
from device_client.core.outbox import Outbox
from device_client.keystore import KeystoreError, read_public_key

from . import fail

EVIDENCE_EXIT = 3


class _Copy:
    """A log in memory: reading a running device's outbox must not write it."""

    def __init__(self, data: bytes) -> None:
        self._data = bytearray(data)

    def size(self) -> int:
        return len(self._data)

    def read(self, at: int, length: int) -> bytes:
        return bytes(self._data[at : at + length])

    def append(self, data: bytes, durable: bool) -> None:
        self._data += data

    def replace(self, pieces: list[bytes]) -> None:
        self._data = bytearray(b"".join(pieces))


def status(
    state: Annotated[Path, typer.Option(help="Folder of the device's key and outbox.")] = Path("edgetally-device"),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
) -> None:
    """Show what a device of this machine waits for and has proved. Exit code 3 when it holds evidence against the
    coordinator: two beacons of one number, a wrong proof, or one that never came."""
    try:
        public_key = read_public_key(state)
        found = _found(public_key, Outbox(_Copy((state / "outbox.log").read_bytes()), 1 << 30))
    except KeystoreError as error:
        raise fail(str(error)) from None
    except OSError as error:
        raise fail(f"{error.filename}: {error.strerror}; choose another folder with --state") from None
    typer.echo(json.dumps(found) if as_json else "\n".join(_lines(found)))
    if found["evidence"]:
        raise typer.Exit(EVIDENCE_EXIT)


def _found(public_key: bytes, outbox: Outbox) -> dict[str, Any]:
    proofs = asking.State(outbox.notes.get(asking.NOTE_STATE, b""))
    beacons = outbox.evidence
    wrong = outbox.notes.get(asking.NOTE_WRONG)
    evidence: dict[str, Any] = {}
    if beacons is not None:
        evidence["two_beacons"] = [one.hex() for one in beacons]
    if wrong is not None:
        evidence["wrong_proof"] = wrong.hex()
    if proofs.missing:
        evidence["missing_proofs"] = proofs.missing
    return {
        "device": cose.signer_id(public_key).hex(),
        "boot": outbox.boot,
        "enrolled": outbox.enrolled,
        "pending": len(outbox.pending),
        "proofs": {
            "next_epoch": _known(proofs.next_epoch),
            "verified": proofs.verified,
            "newest": {"epoch": proofs.epoch, "paid": proofs.paid} if proofs.verified else None,
            "statements_found": proofs.found,
            "absent": proofs.absent,
            "wrong": proofs.wrong,
            "missing": proofs.missing,
            "trouble": _trouble(proofs),
        },
        "evidence": evidence,
    }


def _trouble(state: asking.State) -> str:
    """The newest thing that is not as it should be, in a sentence; empty for nothing."""
    said = {
        asking.ABSENT: "is the coordinator's word that there is nothing",
        asking.WRONG: "is wrong",
        asking.MISSING: "did not come",
    }
    return f"the proof of epoch or slot {state.subject} {said[state.outcome]}" if state.outcome else ""


def _known(epoch: int) -> int | None:
    return None if epoch == asking.NONE else epoch


def _lines(found: dict[str, Any]) -> list[str]:
    proofs, evidence = found["proofs"], found["evidence"]
    lines = [
        f"device      {found['device']}   boot {found['boot']}",
        f"state       {'enrolled' if found['enrolled'] else 'not enrolled'}, {found['pending']} statements waiting",
    ]
    if proofs["newest"]:
        newest = f"epoch {proofs['newest']['epoch']}: {tokens(proofs['newest']['paid'])}"
        lines.append(f"payouts     {proofs['verified']} verified, the newest of {newest}")
    else:
        lines.append("payouts     none verified yet")
    lines.append(f"statements  {proofs['statements_found']} found in their batches")
    if proofs["trouble"]:
        lines.append(f"trouble     {proofs['trouble']}")
    if "two_beacons" in evidence:
        lines.append("evidence    two different beacons of one number")
    if "wrong_proof" in evidence:
        lines.append(f"evidence    {proofs['wrong']} proofs that the coordinator signed are wrong; the first is kept")
    if "missing_proofs" in evidence:
        lines.append(f"evidence    {proofs['missing']} proofs did not come, however often they were asked for")
    if not evidence:
        lines.append("evidence    none against the coordinator")
    return lines
