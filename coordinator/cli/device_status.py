"""`edgetally device status`: what a device holds, has proved to itself and earns, read without touching its state."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from coordinator.kernel.amounts import tokens
from device_client.core import asking
from device_client.core.outbox import Outbox
from device_client.device_settings import DeviceSettingsError, load_settings
from device_client.keystore import LOG, KeystoreError, read_device_id
from device_client.live import read_live

from . import fail
from .calls import Unanswered, answer
from .device_home import AS_JSON, STATE, state_folder

EVIDENCE_EXIT = 3
WATCH_S = 2.0


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
    state: STATE = None,
    url: Annotated[str | None, typer.Option("--url", help="The network's page; else what `setup` was told.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every two seconds, until Ctrl-C.")] = False,
    as_json: AS_JSON = False,
) -> None:
    """Show what a device of this machine waits for, has proved and earns. Exit code 3 when it holds evidence against
    the coordinator: two beacons of one number, a wrong proof, or one that never came."""
    folder = state_folder(state)
    while True:
        try:
            found = _of(folder, url or _page(folder))
        except KeystoreError as error:
            raise fail(str(error)) from None
        except OSError as error:
            text = (
                f"{error.filename}: {error.strerror}; nothing has run here yet, or choose another folder with --state"
            )
            raise fail(text) from None
        if watch and not as_json:
            Console().clear()
        typer.echo(json.dumps(found) if as_json else "\n".join(_lines(found)))
        if not watch:
            break
        try:
            time.sleep(WATCH_S)
        except KeyboardInterrupt:
            break
    if found["evidence"]:
        raise typer.Exit(EVIDENCE_EXIT)


def _page(folder: Path) -> str:
    """What `setup` was told; a device without setup has no page."""
    try:
        return load_settings(folder).page
    except DeviceSettingsError:
        return ""


def _of(folder: Path, page: str) -> dict[str, Any]:
    device = read_device_id(folder)
    found = _found(device, Outbox(_Copy((folder / LOG).read_bytes()), 1 << 30))
    return found | {"live": read_live(folder), "earned": _earned(page, device.hex()) if page else None}


def _earned(page: str, device: str) -> dict[str, Any]:
    """What the network's page says; its own words where it does not answer."""
    try:
        network = answer(page, "/api/v1/network")
        of_device = answer(page, f"/api/v1/devices/{device}")
        payouts = answer(page, f"/api/v1/devices/{device}/payouts?limit=1")["payouts"]
        running = answer(page, f"/api/v1/devices/{device}/explain?epoch={network['epoch']}")
        newest = payouts[0] if payouts else None
        return {
            "standing": of_device["standing"],
            "paid": of_device["paid"],
            "withheld": of_device["withheld"],
            "newest": {"epoch": newest["epoch"], "paid": newest["paid"]} if newest else None,
            "epoch": {"number": network["epoch"], "reasons": [one["text"] for one in running["reasons"]]},
        }
    except Unanswered as error:
        return {"trouble": str(error)}
    except (KeyError, TypeError, IndexError):
        return {"trouble": f"{page}: this is no coordinator of this version"}


def _found(device: bytes, outbox: Outbox) -> dict[str, Any]:
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
        "device": device.hex(),
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
        f"state       {'enrolled' if found['enrolled'] else 'not enrolled'}, {_waiting(found['pending'])}",
        f"client      {_client(found['live'])}",
    ]
    faults = (found["live"] or {}).get("sensor_faults", {})
    lines += [f"sensor      {name}: {what}" for name, what in sorted(faults.items())]
    lines += _earned_lines(found["earned"]) if found["earned"] else []
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


def _waiting(count: int) -> str:
    return "1 statement waiting" if count == 1 else f"{count} statements waiting"


def _client(live: dict[str, Any] | None) -> str:
    if live is None:
        return "does not run; start it with: edgetally device run, or install-service"
    online = "connected" if live["online"] else "runs without a connection"
    last = live["last_receipt"]
    ago = "no receipt yet" if last is None else f"last receipt {max(0, int(time.time()) - last)} s ago"
    failed = f", sensor failed {live['sensor_failed']} times" if live["sensor_failed"] else ""
    return f"{online}, {ago}, beacon {live['beacon']}{failed}"


def _earned_lines(earned: dict[str, Any]) -> list[str]:
    if "trouble" in earned:
        return [f"earned      not known: {earned['trouble']}"]
    withheld = f", {tokens(earned['withheld'])} of it withheld" if earned["withheld"] else ""
    lines = [f"earned      {tokens(earned['paid'])} ({earned['standing']}){withheld}"]
    if newest := earned["newest"]:
        lines.append(f"            epoch {newest['epoch']}: {tokens(newest['paid'])}")
    running = earned["epoch"]
    return lines + [f"epoch {running['number']:<5} {text}" for text in running["reasons"]]
