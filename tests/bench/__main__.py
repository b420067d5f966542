"""`make bench`: every figure that the documentation quotes, and what it is compared with, measured in the same run.

Absolute times say little on a shared machine; the ratios beside them are to libsodium (PyNaCl) on the same core.
"""

import argparse
import asyncio
import hashlib
import json
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import nacl.signing

from coordinator.demo.children import micropython_path
from coordinator.engine import wire
from coordinator.engine.execute import execute
from coordinator.engine.report_shape import ReportShape
from coordinator.engine.state import MemoryState
from coordinator.found import found_network
from coordinator.ingest.quotas import Limits
from coordinator.kernel.module import Frame
from coordinator.kernel.statements import StatementRow, Statements
from coordinator.modules.identity import Device
from coordinator.node import Node
from coordinator.store.home import Home
from coordinator.store.schema import INTAKE
from coordinator.store.stores import Stores, intake_delta
from device_client.core import cose, light, statement
from device_client.core.cbor import encode
from tests.bench import firmware_heap, wear
from tests.core import parts as ring_parts
from tests.firmware import curve_parts
from tests.modules.build import enroll, frame, grant, row

SEED = bytes(range(32))
MESSAGE = bytes(160)
GENESIS = bytes(32)
ROUNDS = 300
DEVICES = 500
REPORTS = 20
TARGETS = {"sign": (1.0, 12_288), "verify": (3.0, 8_192)}  # ms and bytes of garbage on the unix MicroPython, by viper


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description="Measure; ARGS=--json prints one JSON object.")
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    found = measured()
    if as_json:
        print(json.dumps(found))
    else:
        print("\n".join(lines(found)))


def measured() -> dict[str, Any]:
    libsodium = _libsodium()
    return {
        "machine": {
            "processor": platform.machine(),
            "python": platform.python_version(),
            "system": platform.system(),
        },
        "libsodium_us": libsodium,
        "micropython": _micropython(libsodium),
        "wire": _wire(libsodium),
        "execution": _execution(libsodium),
        "sealing": _sealing(libsodium),
        "outbox": {**wear.measured(), **_scan()},
        "heap": _heap(),
    }


def median_us(work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter_ns()
        work()
        times.append((time.perf_counter_ns() - start) / 1000)
    return median(times)


def _libsodium() -> dict[str, float]:
    key = nacl.signing.SigningKey(SEED)
    public, signed = bytes(key.verify_key), key.sign(MESSAGE)
    return {
        "sign": median_us(lambda: key.sign(MESSAGE)),
        "verify": median_us(lambda: wire.signature_holds(public, MESSAGE, signed.signature)),
    }


def _micropython(libsodium: dict[str, float]) -> dict[str, Any]:
    """Ed25519 of firmware/lib on the real unix MicroPython: by viper, and by the fallback on big integers."""
    if micropython_path() is None:
        return {}
    bench = Path(curve_parts.__file__).with_name("ed25519_bench.py")
    found: dict[str, Any] = {"viper": json.loads(curve_parts.micropython(curve_parts.LIB, str(bench)))}
    with tempfile.TemporaryDirectory() as folder:
        fallback = curve_parts.without_viper(Path(folder))
        found["big integers"] = json.loads(curve_parts.micropython(fallback, str(bench)))
    for variant in found.values():
        for name, one in variant.items():
            one["ratio"] = one["median_us"] / libsodium[name]
    return found


def _scan() -> dict[str, float]:
    """A full outbox of 1 MiB read at a start, on the real unix MicroPython."""
    if micropython_path() is None:
        return {}
    found: dict[str, float] = json.loads(ring_parts.micropython("ring_memory.py", heap="6M"))
    return {name: found[name] for name in ("scan_ms", "memory_bytes", "statements")}


def _heap() -> dict[str, int]:
    """The least heap of the firmware's process without TLS, in KiB, and the bytes in use after the last receipt."""
    if micropython_path() is None or shutil.which("mosquitto") is None:
        return {}
    found = firmware_heap.least(list(firmware_heap.SIZES_KIB))
    return {} if found is None else {"least_kib": found[0], "used_bytes": found[1]}


def _wire(libsodium: dict[str, float]) -> dict[str, dict[str, float]]:
    """One report of one reading set: made by the core on CPython, then taken apart and checked by the coordinator."""
    key = nacl.signing.SigningKey(SEED)
    public = bytes(key.verify_key)
    kid, readings, salt = cose.signer_id(public), encode([[0, 2150, 480]]), bytes(16)
    body: list[object] = [0, statement.commitment(salt, readings)]
    said = statement.Statement(bytes(16), 3600, 1, statement.KIND_REPORT, 7, bytes(16), body)

    def made() -> bytes:
        envelope, _ = statement.sealed(said, kid, GENESIS, lambda message: key.sign(message).signature)
        return statement.message(envelope, salt, readings)

    def taken_apart() -> wire.Signed:
        envelope, _, _ = wire.message_parts(message)
        signed = wire.envelope(envelope, cose.TYPE_STATEMENT, GENESIS)
        wire.checked_body(wire.claims(signed.payload))
        return signed

    message, shape = made(), ReportShape(GENESIS)
    parsed = taken_apart()
    assert wire.is_signed_by(parsed, public)
    assert shape.taken_apart(message) is not None
    times = {
        "build and sign": (median_us(made), "sign"),
        "decode": (median_us(taken_apart), "verify"),
        "decode by shape": (median_us(lambda: shape.taken_apart(message)), "verify"),
        "decode and verify": (median_us(lambda: wire.is_signed_by(taken_apart(), public)), "verify"),
    }
    return {name: {"us": us, "ratio": us / libsodium[beside]} for name, (us, beside) in times.items()}


def _execution(libsodium: dict[str, float]) -> dict[str, float]:
    """A batch of reports of enrolled devices through all modules, serially; then an empty one that closes the epoch."""
    enrolment = frame(0, 0, messages=[grant(1, devices=DEVICES)])
    state = execute({}, enrolment, _ordered([enroll(index, 0) for index in range(DEVICES)])).after
    reports = [row(index, 2 + seq, 1, quoted=1) for index in range(DEVICES) for seq in range(REPORTS)]
    plain = _seconds(state, frame(1, 1, 1), reports)
    before_closing = execute(state, frame(1, 1, 1), _ordered(reports)).after
    closing = _seconds(before_closing, frame(2, 11, 2), [])
    us = plain * 1e6 / len(reports)
    return {
        "statements": len(reports),
        "devices": DEVICES,
        "us": us,
        "ratio": us / libsodium["verify"],
        "closing_us_per_device": closing * 1e6 / DEVICES,
    }


def _sealing(libsodium: dict[str, float]) -> dict[str, float]:
    """The same number of reports out of the intake's log into a sealed batch, its folder and all stores, fsyncs too."""
    with tempfile.TemporaryDirectory() as folder:
        times = [asyncio.run(_sealed_s(Path(folder) / str(attempt))) for attempt in range(3)]
    us = median(times) * 1e6 / (DEVICES * REPORTS)
    return {"us": us, "ratio": us / libsodium["verify"]}


async def _sealed_s(folder: Path) -> float:
    home = Home(folder / "data")
    genesis = found_network(home, folder / "root.key", "bench", {"batch_beacons": 1}, Random(0).randbytes)
    home.make()
    keys = [nacl.signing.SigningKey(hashlib.sha256(b"%d" % index).digest()) for index in range(DEVICES)]
    devices = {(cose.signer_id(bytes(key.verify_key)),): tuple(_device(bytes(key.verify_key))) for key in keys}
    node = Node(home, MemoryState({"identity": {"devices": devices}}), Limits(REPORTS, DEVICES * REPORTS))
    quote = light.quote(node.beacon(0))
    salt, readings, prevs = bytes(16), encode([[0, 2150, 480]]), [b""] * DEVICES
    body: list[object] = [0, statement.commitment(salt, readings)]
    for seq in range(1, REPORTS + 1):
        said = []
        for index, key in enumerate(keys):
            one = statement.Statement(quote, 3600, 1, statement.KIND_REPORT, seq, prevs[index], body)
            kid = cose.signer_id(bytes(key.verify_key))
            envelope, id = statement.sealed(
                one, kid, genesis.hash, lambda message, key=key: key.sign(message).signature
            )
            prevs[index] = id[: statement.PREV_BYTES]
            said.append(node.intake.screen(statement.message(envelope, salt, readings), kid))
        node.intake.commit(said, [True] * DEVICES)
    node.beacon(1)
    stores = await Stores.open(home)
    try:
        start = time.perf_counter()
        batch = node.seal_next()
        assert batch is not None and batch.sealed.header.statements == DEVICES * REPORTS
        for name, effects in batch.sealed.executed.effects.items():
            await stores.apply(name, 0, effects.delta, effects.records)
        await stores.apply(INTAKE, 0, intake_delta(batch.memories), {"readings": batch.reading_rows})
        return time.perf_counter() - start
    finally:
        await stores.close()


def _device(public_key: bytes) -> Device:
    channels = encode([["temperature", "Cel", -2], ["humidity", "%RH", -1]])
    return Device(public_key, bytes(16), bytes(32), 0, 60, 1, 0, channels, 0, 0)


def _ordered(rows: list[StatementRow]) -> Statements:
    return Statements.of(sorted(rows, key=lambda one: (one.device, one.boot, one.seq, one.id)))


def _seconds(state: Any, at: Frame, rows: list[StatementRow]) -> float:
    ordered, times = _ordered(rows), []
    for _ in range(5):
        start = time.perf_counter()
        execute(state, at, ordered)
        times.append(time.perf_counter() - start)
    return median(times)


def lines(found: dict[str, Any]) -> list[str]:
    machine, libsodium = found["machine"], found["libsodium_us"]
    out = [f"{machine['processor']}, {machine['system']}, Python {machine['python']}; medians"]
    out.append(f"libsodium by PyNaCl: sign {libsodium['sign']:.0f} us, verify {libsodium['verify']:.0f} us")
    out.append("")
    out.append("Ed25519 on MicroPython           ms   x libsodium   garbage, bytes")
    if not found["micropython"]:
        out.append("  no MicroPython on this machine")
    for variant, parts in found["micropython"].items():
        for name, one in parts.items():
            text = (
                f"  {name + ', ' + variant:<26}{one['median_us'] / 1000:>7.2f}{one['ratio']:>14.1f}{one['garbage']:>17}"
            )
            if variant == "viper":
                ms_max, garbage_max = TARGETS[name]
                text += f"   target <= {ms_max:g} ms, <= {garbage_max} bytes"
            out.append(text)
    out.append("")
    out.append("A report on CPython              us   x libsodium's sign or verify")
    out += [f"  {name:<26}{one['us']:>7.1f}{one['ratio']:>14.2f}" for name, one in found["wire"].items()]
    execution = found["execution"]
    out.append("")
    out.append(f"Executing {execution['statements']} reports of {execution['devices']} devices, serially")
    out.append(f"  per statement             {execution['us']:>7.1f}{execution['ratio']:>14.2f}  of one verification")
    sealing = found["sealing"]
    out.append(f"  sealed, durable, in stores{sealing['us']:>7.1f}{sealing['ratio']:>14.2f}  of one verification")
    out.append(f"  closing an epoch, a device{execution['closing_us_per_device']:>7.1f}")
    out.append("")
    out += wear.lines(found["outbox"])
    if heap := found["heap"]:
        out += [
            "",
            f"Heap of the firmware's process: {heap['least_kib']} KiB is enough, {heap['used_bytes']} bytes in use",
        ]
    return out


if __name__ == "__main__":
    sys.exit(main())
