"""Each field of each published file changed in turn: `verify` names batch, file and field.

Twice where it makes sense: somebody without a key changes the file, or the coordinator changes it and signs the header
anew, so that the header covers the lie.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import cbor2
import pytest

from coordinator.engine import diagnose_owner
from coordinator.engine.archive import Wrong
from coordinator.engine.beacons import frame, unframed
from coordinator.engine.diagnose_rows import TABLES
from coordinator.engine.header import FileEntry, Header
from coordinator.engine.packing import (
    STATEMENT_FRAME,
    pack_owner_messages,
    pack_readings,
    unpack_owner_messages,
    unpack_readings,
    unpack_statements,
)
from coordinator.kernel import owner_messages as kinds
from coordinator.kernel.tables import Table
from device_client.core import cose

from .published import Files, Published, troubled

ID, SLOT = 3, 4  # columns of verdicts.rows


@pytest.fixture(scope="module")
def net() -> Published:
    return troubled()


def named(net: Published, files: Files, pinned: bool = True) -> tuple[int, str, str]:
    assert files != net.files
    with pytest.raises(Wrong) as caught:
        net.audit(files, pinned=pinned)
    assert caught.value.what
    return caught.value.batch, caught.value.file, caught.value.field


def covered(net: Published, files: Files, name: str) -> Files:
    """The header of the batch of `name` speaks of the changed file and is signed by the coordinator; no beacon names
    the batch yet, so that no log root gives it away."""
    _, number, file = name.split("/")
    header = net.header(files, int(number))
    data = files[name]
    entry = FileEntry(file, len(data), hashlib.sha256(data).digest())
    entries = [entry if one.name == file else one for one in header.files]
    return net.until(net.resigned(files, int(number), header._replace(files=entries)), int(number))


def other(value: Any) -> Any:
    """Another value of the same type and size."""
    if isinstance(value, bytes):
        return bytes((value[0] ^ 1,)) + value[1:] if value else value
    return value + 1


# ROWS


def biggest(net: Published, file: str) -> str:
    """The newest batch in which this file has rows."""
    found = [name for name in net.files if name.startswith("batches/") and name.endswith("/" + file)]
    return max(found, key=lambda name: (bool(net.files[name]), int(name.split("/")[1])), default="")


def columns() -> Iterator[tuple[str, str]]:
    for file, table in sorted(TABLES.items()):
        for column in table.columns:
            yield file, column.name


def with_row(table: Table, data: bytes, column: str) -> bytes:
    rows = table.unpack(data)
    at = len(rows) // 2
    index = [one.name for one in table.columns].index(column)
    row = list(rows[at])
    row[index] = other(row[index])
    rows[at] = tuple(row)
    return table.pack(rows)


@pytest.mark.parametrize(("file", "column"), list(columns()))
@pytest.mark.parametrize("resigned", [False, True])
def test_each_column_of_each_row_file(net: Published, file: str, column: str, resigned: bool) -> None:
    name = biggest(net, file)
    assert net.files.get(name), f"no rows of {file} in the network of this test"
    files = {**net.files, name: with_row(TABLES[file], net.files[name], column)}
    batch = int(name.split("/")[1])
    if not resigned:
        assert named(net, files) == (batch, name, column)
    elif file != "refusals.rows":  # those are the coordinator's word until a beacon names the batch
        assert named(net, covered(net, files, name)) == (batch, name, column)


@pytest.mark.parametrize("file", sorted(TABLES))
@pytest.mark.parametrize("change", ["removed", "doubled", "swapped"])
def test_rows_that_are_missing_too_many_or_out_of_order(net: Published, file: str, change: str) -> None:
    name = biggest(net, file)
    table = TABLES[file]
    rows = table.unpack(net.files[name])
    if change == "swapped" and len(rows) < 2:
        pytest.skip("one row has no order")
    changed = {"removed": rows[1:], "doubled": [rows[0], *rows], "swapped": [rows[-1], *rows[1:-1], rows[0]]}[change]
    field = "order" if change == "swapped" else "row"
    files = {**net.files, name: table.pack(changed)}
    assert named(net, files) == (int(name.split("/")[1]), name, field)


# STATEMENTS


def statements_file(net: Published) -> str:
    """Of a batch behind the enrolments: reports of several devices, with predecessors in other batches."""
    return "batches/4/statements.bin"


def packed(entries: list[tuple[int, bytes]]) -> bytes:
    return b"".join(STATEMENT_FRAME.pack(slot, len(envelope)) + envelope for slot, envelope in entries)


def with_claim(envelope: bytes, change: Callable[[dict[Any, Any]], None]) -> bytes:
    taken = cose.unwrap(envelope)
    claims = dict(cbor2.loads(taken.payload))
    change(claims)
    return cose.wrap(taken.kid, cbor2.dumps(claims), taken.signature)


def in_private(index: int) -> Callable[[dict[Any, Any]], None]:
    def change(claims: dict[Any, Any]) -> None:
        claims[-65537][index] = other(claims[-65537][index])

    return change


def in_body(index: int) -> Callable[[dict[Any, Any]], None]:
    def change(claims: dict[Any, Any]) -> None:
        claims[-65537][3][index] = other(claims[-65537][3][index])

    return change


def at_key(key: int) -> Callable[[dict[Any, Any]], None]:
    def change(claims: dict[Any, Any]) -> None:
        claims[key] = other(claims[key])

    return change


CLAIMS = {
    "eat_nonce": at_key(10),
    "uptime_s": at_key(261),
    "boot": at_key(267),
    "kind": in_private(0),
    "seq": in_private(1),
    "prev": in_private(2),
    "body": in_body(1),
}


def with_envelope(data: bytes, at: int, change: Callable[[bytes], bytes]) -> bytes:
    entries = unpack_statements(data)
    entries[at] = (entries[at][0], change(entries[at][1]))
    return packed(entries)


def rekeyed(envelope: bytes) -> bytes:
    taken = cose.unwrap(envelope)
    return cose.wrap(other(taken.kid), taken.payload, taken.signature)


def report_at(data: bytes) -> int:
    """A report that is not the first of its boot."""
    entries = unpack_statements(data)
    return next(
        at
        for at in range(len(entries) // 2, len(entries))
        if cbor2.loads(cose.unwrap(entries[at][1]).payload)[-65537][2]
    )


def statement_changes() -> dict[str, Callable[[bytes], bytes]]:
    def slot(data: bytes) -> bytes:
        entries = unpack_statements(data)
        at = report_at(data)
        slots = sorted({one for one, _ in entries})
        entries[at] = (next(one for one in slots if one != entries[at][0]), entries[at][1])
        return packed(entries)

    def length(data: bytes) -> bytes:
        first, size = STATEMENT_FRAME.unpack_from(data)
        return STATEMENT_FRAME.pack(first, size + 1) + data[STATEMENT_FRAME.size :]

    def signature(data: bytes) -> bytes:
        return with_envelope(data, report_at(data), lambda one: one[:-1] + bytes((one[-1] ^ 1,)))

    def protected(data: bytes) -> bytes:
        return with_envelope(data, report_at(data), lambda one: one[:5] + bytes((one[5] ^ 1,)) + one[6:])

    found: dict[str, Callable[[bytes], bytes]] = {
        "slot": slot,
        "length": length,
        "signature": signature,
        "envelope": protected,
        "kid": lambda data: with_envelope(data, report_at(data), rekeyed),
        "row removed": lambda data: packed(unpack_statements(data)[1:]),
        "row doubled": lambda data: packed([unpack_statements(data)[0], *unpack_statements(data)]),
        "order": lambda data: packed([*unpack_statements(data)[1:], unpack_statements(data)[0]]),
    }
    for name, change in CLAIMS.items():
        found[name] = lambda data, change=change: with_envelope(  # type: ignore[misc]
            data, report_at(data), lambda one: with_claim(one, change)
        )
    return found


STATEMENT_CHANGES = statement_changes()


@pytest.mark.parametrize("field", sorted(STATEMENT_CHANGES))
@pytest.mark.parametrize("resigned", [False, True])
def test_each_part_of_a_statement(net: Published, field: str, resigned: bool) -> None:
    name = statements_file(net)
    files = {**net.files, name: STATEMENT_CHANGES[field](net.files[name])}
    found = named(net, covered(net, files, name) if resigned else files)
    assert found == (4, name, field.split(" ")[0])


def test_a_code_of_what_was_measured(net: Published) -> None:
    name = "batches/4/measured.rows"
    data = net.files[name]
    at = min(unpack_readings(net.files["readings/4.bin"]))
    changed = data[:at] + bytes((data[at] % 5 + 1,)) + data[at + 1 :]
    files = {**net.files, name: changed}
    assert named(net, files) == (4, name, "measured")
    assert named(net, covered(net, files, name)) == (4, name, "measured")
    assert named(net, {**net.files, name: data[:-1]}) == (4, name, "row")


# OWNER MESSAGES

LATER_KINDS = (kinds.QUARANTINE, kinds.LIFT, kinds.APPEAL, kinds.CORRECT, kinds.SETTLE)


def owner_changes() -> dict[str, Callable[[list[bytes]], list[bytes]]]:
    def of(change: Callable[[list[Any]], Any]) -> Callable[[list[bytes]], list[bytes]]:
        def changed(messages: list[bytes]) -> list[bytes]:
            taken = cose.unwrap(messages[1])
            payload = cbor2.loads(taken.payload)
            change(payload)
            return [messages[0], cose.wrap(taken.kid, cbor2.dumps(payload), taken.signature), *messages[2:]]

        return changed

    def put(index: int) -> Callable[[list[Any]], None]:
        def change(payload: list[Any]) -> None:
            payload[index] = other(payload[index])

        return change

    def put_body(index: int) -> Callable[[list[Any]], None]:
        def change(payload: list[Any]) -> None:
            payload[2][index] = other(payload[2][index])

        return change

    return {
        "kind": of(put(0)),
        "nonce": of(put(1)),
        "token_key": of(put_body(0)),
        "owner": of(put_body(1)),
        "devices": of(put_body(2)),
        "last_epoch": of(put_body(3)),
        "kid": lambda messages: [messages[0], rekeyed(messages[1]), *messages[2:]],
        "signature": lambda messages: [messages[0], messages[1][:-1] + other(messages[1][-1:]), *messages[2:]],
        "row removed": lambda messages: messages[1:],
        "row doubled": lambda messages: [messages[0], *messages],
        "order": lambda messages: messages[::-1],
    }


OWNER_CHANGES = owner_changes()


@pytest.mark.parametrize("field", sorted(OWNER_CHANGES))
@pytest.mark.parametrize("resigned", [False, True])
def test_each_part_of_an_owner_message(net: Published, field: str, resigned: bool) -> None:
    name = "batches/0/owner.bin"  # where the tokens were granted
    changed = OWNER_CHANGES[field](unpack_owner_messages(net.files[name]))
    files = {**net.files, name: pack_owner_messages(changed)}
    batch = int(name.split("/")[1])
    if resigned and field in ("row removed", "row doubled"):
        # Then its verdict is one too many, or its grant stands twice.
        assert named(net, covered(net, files, name))[0] == batch
        return
    if resigned:
        files = covered(net, files, name)
        files.update({one: data for one, data in net.files.items() if one.split("/")[0] in ("batches", "readings")})
        files.update(covered(net, {**net.files, name: pack_owner_messages(changed)}, name))
    assert named(net, files) == (batch, name, field.split(" ")[0])


def later_parts() -> list[tuple[int, int]]:
    return [(kind, at) for kind in LATER_KINDS for at in range(len(diagnose_owner.BODIES[kind]))]


@pytest.mark.parametrize(("kind", "at"), later_parts())
@pytest.mark.parametrize("resigned", [False, True])
def test_each_part_of_what_the_operator_says(net: Published, kind: int, at: int, resigned: bool) -> None:
    name, messages, index = said(net, kind)
    taken = cose.unwrap(messages[index])
    payload = cbor2.loads(taken.payload)
    payload[2][at] = other(payload[2][at])
    messages[index] = cose.wrap(taken.kid, cbor2.dumps(payload), taken.signature)
    files = {**net.files, name: pack_owner_messages(messages)}
    found = named(net, covered(net, files, name) if resigned else files)
    assert found == (int(name.split("/")[1]), name, diagnose_owner.BODIES[kind][at])


def said(net: Published, kind: int) -> tuple[str, list[bytes], int]:
    """A file with a message of a kind, its messages, and which it is."""
    for name in net.files:
        messages = unpack_owner_messages(net.files[name]) if name.endswith("/owner.bin") else []
        for index, one in enumerate(messages):
            if cbor2.loads(cose.unwrap(one).payload)[0] == kind:
                return name, messages, index
    raise LookupError(kind)


# HEADERS


def header_changes() -> dict[str, Callable[[Header], Header]]:
    found: dict[str, Callable[[Header], Header]] = {}
    for field in Header._fields[:11]:
        found[field] = lambda header, field=field: header._replace(**{field: other(getattr(header, field))})  # type: ignore[misc]

    def entry(**fields: Any) -> Callable[[Header], Header]:
        def change(header: Header) -> Header:
            at = next(at for at, one in enumerate(header.files) if one.name == "postings.rows")
            old = header.files[at]
            new = old._replace(**{name: other(getattr(old, name)) for name in fields})
            return header._replace(files=[*header.files[:at], new, *header.files[at + 1 :]])

        return change

    def input_entry(header: Header) -> Header:
        at = next(at for at, one in enumerate(header.files) if one.name == "statements.bin")
        old = header.files[at]
        return header._replace(
            files=[*header.files[:at], old._replace(sha256=other(old.sha256)), *header.files[at + 1 :]]
        )

    def delta(header: Header) -> Header:
        name, digest = header.deltas[1]
        return header._replace(deltas=[header.deltas[0], (name, other(digest)), *header.deltas[2:]])

    found["files.postings.rows.size"] = entry(size=1)
    found["files.postings.rows.sha256"] = entry(sha256=1)
    found["files.statements.bin.sha256"] = input_entry
    found["deltas.presence"] = delta
    return found


HEADER_CHANGES = header_changes()


@pytest.mark.parametrize("field", sorted(HEADER_CHANGES))
@pytest.mark.parametrize("resigned", [False, True])
def test_each_field_of_a_header(net: Published, field: str, resigned: bool) -> None:
    name = "batches/4/header.cose"
    header = HEADER_CHANGES[field](net.header(net.files, 4))
    taken = cose.unwrap(net.files[name])
    if resigned:
        files = net.until(net.resigned(net.files, 4, header), 4)
    else:
        files = {**net.files, name: cose.wrap(taken.kid, header.payload(), taken.signature)}
    assert named(net, files) == (4, name, field)


def test_the_envelope_of_a_header(net: Published) -> None:
    name = "batches/4/header.cose"
    data = net.files[name]
    assert named(net, {**net.files, name: data[:-1] + other(data[-1:])}) == (4, name, "signature")
    assert named(net, {**net.files, name: rekeyed(data)}) == (4, name, "kid")
    assert named(net, {**net.files, name: other(data)}) == (4, name, "envelope")


# FILES OF NO BATCH

BEACON_FIELDS = (
    "incarnation",
    "number",
    "time",
    "nonce",
    "next_nonce_hash",
    "log_size",
    "log_root",
    "intake_root",
)


def with_beacon(net: Published, at: int, change: Callable[[bytes], bytes]) -> Files:
    envelopes, _ = unframed(net.files["beacons.log"])
    envelopes[at] = change(envelopes[at])
    return {**net.files, "beacons.log": b"".join(map(frame, envelopes))}


@pytest.mark.parametrize("field", BEACON_FIELDS)
def test_each_field_of_a_beacon(net: Published, field: str) -> None:
    def change(envelope: bytes) -> bytes:
        taken = cose.unwrap(envelope)
        payload = cbor2.loads(taken.payload)
        index = BEACON_FIELDS.index(field)
        payload[index] = other(payload[index])
        return cose.wrap(taken.kid, cbor2.dumps(payload), taken.signature)

    assert named(net, with_beacon(net, 12, change)) == (-1, "beacons.log", field)


def test_the_envelope_of_a_beacon(net: Published) -> None:
    assert named(net, with_beacon(net, 12, rekeyed)) == (-1, "beacons.log", "kid")
    signature = with_beacon(net, 12, lambda one: one[:-1] + other(one[-1:]))
    assert named(net, signature) == (-1, "beacons.log", "signature")
    data = net.files["beacons.log"]
    assert named(net, {**net.files, "beacons.log": other(data)}) == (-1, "beacons.log", "length")


@pytest.mark.parametrize("field", ["number", "incarnation", "nonce", "time", "log_size", "log_root", "intake_root"])
def test_a_beacon_that_the_coordinator_signed_anew(net: Published, field: str) -> None:
    """What speaks against it is the chain, the log or the intake; who is quoted by it speaks of another one."""

    at = 13 if field == "intake_root" else 12  # the header of a batch names beacon 12

    def change(envelope: bytes) -> bytes:
        beacon = net.beacons.beacons[at]
        values = {"time": 0, "incarnation": 0, "number": 99, "log_size": 0}
        setattr(beacon, field, values.get(field, other(getattr(beacon, field))))
        return net.signer.envelope(cose.TYPE_BEACON, beacon.payload())

    batch, file, found = named(net, with_beacon(net, at, change))
    if field == "intake_root":
        assert (file.split("/")[-1], found) == ("statements.bin", "row")
    else:
        assert (file, found) == ("beacons.log", field) and batch <= net.beacons.beacons[at].log_size


@pytest.mark.parametrize(
    "field", ["name", "root_key", "parameters.epoch_beacons", "parameters.reward_owner_cap_ppm", "salt"]
)
@pytest.mark.parametrize("pinned", [True, False])
def test_each_field_of_the_genesis(net: Published, field: str, pinned: bool) -> None:
    name, root_key, listed, salt = cbor2.loads(net.files["genesis.cbor"])
    fields = {"name": name, "root_key": root_key, "parameters": listed, "salt": salt}
    if field.startswith("parameters."):
        fields["parameters"] = [[key, value + 1 if field.endswith(key) else value] for key, value in listed]
    else:
        fields[field] = "other" if field == "name" else other(fields[field])
    files = {**net.files, "genesis.cbor": cbor2.dumps(list(fields.values()))}
    assert named(net, files, pinned) == (-1, "genesis.cbor", field)


@pytest.mark.parametrize("field", ["kind", "serial", "role", "public_key", "from_beacon", "kid", "signature"])
def test_each_field_of_the_keys(net: Published, field: str) -> None:
    (part,) = cbor2.loads(net.files["keys.cbor"])
    taken = cose.unwrap(part)
    kind, serial, (role, public_key, from_beacon) = cbor2.loads(taken.payload)
    values = {"kind": kind, "serial": serial, "role": role, "public_key": public_key, "from_beacon": from_beacon}
    kid, signature = taken.kid, taken.signature
    if field == "kid":
        kid = other(kid)
    elif field == "signature":
        signature = other(signature)
    else:
        values[field] = other(values[field])
    kind, serial, *body = values.values()
    changed = cose.wrap(kid, cbor2.dumps([kind, serial, body]), signature)
    files = {**net.files, "keys.cbor": cbor2.dumps([changed])}
    assert named(net, files) == (-1, "keys.cbor", field)


@pytest.mark.parametrize("field", ["incarnation", "first", "last", "evidence"])
def test_each_field_of_a_restart(net: Published, field: str) -> None:
    (row,) = cbor2.loads(net.files["restarts.cbor"])
    index = ["incarnation", "first", "last", "evidence"].index(field)
    row[index] = row[index][:-1] + other(row[index][-1:]) if field == "evidence" else other(row[index])
    files = {**net.files, "restarts.cbor": cbor2.dumps([row])}
    assert named(net, files) == (-1, "restarts.cbor", field)


# THE LOG


def test_each_hash_of_a_tile_and_each_entry_of_a_bundle(net: Published) -> None:
    size = net.beacons.beacons[-1].log_size
    name = f"log/tile/0/000.p/{size}"
    for at in range(size):
        data = bytearray(net.files[name])
        data[32 * at] ^= 1
        assert named(net, {**net.files, name: bytes(data)}) == (-1, name, f"hash {at}")
    name = f"log/tile/entries/000.p/{size}"
    data = bytearray(net.files[name])
    data[20] ^= 1
    assert named(net, {**net.files, name: bytes(data)}) == (-1, name, "entry 0")


@pytest.mark.parametrize("field", ["origin", "size", "root", "name", "key_id", "signature"])
def test_each_field_of_the_checkpoint(net: Published, field: str) -> None:
    origin, size, root, blank, signed, end = net.files["log/checkpoint"].decode().split("\n")
    mark, name, encoded = signed.split(" ")
    raw = base64.b64decode(encoded)
    match field:
        case "origin":
            origin += "x"
        case "size":
            size = str(int(size) - 1)
        case "root":
            root = base64.b64encode(other(base64.b64decode(root))).decode()
        case "name":
            name += "x"
        case "key_id":
            raw = other(raw)
        case _:
            raw = raw[:-1] + other(raw[-1:])
    text = "\n".join([origin, size, root, blank, f"{mark} {name} {base64.b64encode(raw).decode()}", end])
    assert named(net, {**net.files, "log/checkpoint": text.encode()}) == (-1, "log/checkpoint", field)


# READINGS


@pytest.mark.parametrize("field", ["index", "salt", "dt_ms", "values[0]"])
def test_each_field_of_the_readings(net: Published, field: str) -> None:
    name = "readings/4.bin"
    readings = unpack_readings(net.files[name])
    at = sorted(readings)[1]
    salt, values = readings.pop(at)
    sets = cbor2.loads(values)
    if field == "index":
        at = next(one for one in range(at + 1, 1000) if one not in readings)
    elif field == "salt":
        salt = other(salt)
    else:
        sets[0][0 if field == "dt_ms" else 1] += 1
        values = cbor2.dumps(sets)
    readings[at] = (salt, values)
    assert named(net, {**net.files, name: pack_readings(readings)}) == (4, name, field)
