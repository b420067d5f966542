"""A small real network as an archive in memory, and a forger who holds the coordinator's key."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import nacl.signing

from coordinator.engine.audit import Auditor, Report
from coordinator.engine.beacons import BeaconChain, unframed
from coordinator.engine.genesis import parse_certificates, parse_genesis
from coordinator.engine.header import HEADER_FILE, Header, parse_header
from coordinator.engine.inputs import Inputs, read_owner_messages, read_statements
from coordinator.engine.owner_wire import Keys
from coordinator.engine.packing import REFUSALS, pack_statements, unpack_owner_messages, unpack_statements
from coordinator.engine.seal import MEASURED_FILE, OWNER_FILE, REFUSALS_FILE, STATEMENTS_FILE, Position, sealed
from coordinator.engine.signatures import Signatures
from coordinator.engine.state import NetworkState
from coordinator.engine.wire import envelope
from coordinator.found import say
from coordinator.ingest.receipts import Signer
from coordinator.kernel import owner_messages as kinds
from coordinator.kernel.statements import StatementRow, Statements
from coordinator.modules.accounts import in_force
from coordinator.modules.rewards import PAYOUTS
from coordinator.node import Node
from coordinator.recovery import Fault, note_rolled_back, restart
from device_client.core import cose, light
from device_client.owner_signing import signed_message
from tests.sim.cheats import Clone
from tests.sim.device import SimDevice, stuck
from tests.sim.network import LIMITS, Network, recovered
from tests.sim.wire import Faults

Files = dict[str, bytes]
PUBLIC_GLOBS = (
    "genesis.cbor",
    "keys.cbor",
    "beacons.log",
    "restarts.cbor",
    "batches/*/*",
    "readings/*.bin",
    "log/**/*",
)


class Given(NamedTuple):
    """The statements of a batch, to be changed."""

    rows: list[StatementRow]
    envelopes: list[bytes]


class MemoryArchive:
    """Files by name. `private` holds the readings that are not published, by batch."""

    def __init__(self, files: Files, private: dict[int, bytes] | None = None) -> None:
        self.files = files
        self.private = private or {}

    def read(self, name: str) -> bytes | None:
        return self.files.get(name)

    def batches(self) -> list[int]:
        return sorted({int(name.split("/")[1]) for name in self.files if name.startswith("batches/")})

    def batch_files(self, number: int) -> list[str]:
        folder = f"batches/{number}/"
        return sorted(name.removeprefix(folder) for name in self.files if name.startswith(folder))

    def log_files(self) -> list[str]:
        return sorted(name for name in self.files if name.startswith("log/"))

    def snapshots(self) -> list[int]:
        return sorted({int(name.split("/")[1]) for name in self.files if name.startswith("snapshots/")})

    def private_readings(self, number: int) -> bytes | None:
        return self.private.get(number)


class Published:
    """What a network published, its genesis hash, and (for forgers) the coordinator's key."""

    def __init__(self, files: Files, genesis_hash: bytes, key: bytes) -> None:
        self.files = files
        self.genesis_hash = genesis_hash
        self.genesis = parse_genesis(files["genesis.cbor"])
        self.certificates = parse_certificates(files["keys.cbor"], genesis_hash, self.genesis.root_key)
        self.beacons = BeaconChain(genesis_hash, self.certificates)
        for data in unframed(files["beacons.log"])[0]:
            self.beacons.append(data)
        self.signer = signer_of(key, genesis_hash)

    def audit(self, files: Files, pinned: bool = True, private: dict[int, bytes] | None = None) -> Report:
        """Raises Wrong. `pinned`: the auditor knows the genesis hash."""
        return Auditor(MemoryArchive(files, private)).run(self.genesis_hash if pinned else None)

    def header(self, files: Files, number: int) -> Header:
        data = files[f"batches/{number}/{HEADER_FILE}"]
        return parse_header(envelope(data, cose.TYPE_HEADER, self.genesis_hash).payload)

    def state_before(self, number: int) -> NetworkState:
        """The state that batch `number` begins with; the beacons of the later ones are cut off for that."""
        files = {name: data for name, data in self.files.items() if not later(name, number)}
        return Auditor(MemoryArchive({**files, "beacons.log": self.beacons_until(number)})).run().state

    def until(self, files: Files, number: int) -> Files:
        """`files` as they stood right after batch `number` was sealed: no beacon names it yet."""
        kept = {name: data for name, data in files.items() if not later(name, number + 1)}
        return {**kept, "beacons.log": self.beacons_until(number)}

    def resigned(self, files: Files, number: int, header: Header) -> Files:
        """The header replaced and signed with the coordinator's key."""
        name = f"batches/{number}/{HEADER_FILE}"
        return {**files, name: self.signer.envelope(cose.TYPE_HEADER, header.payload())}

    def beacons_until(self, number: int) -> bytes:
        """beacons.log as it was before any beacon named batch `number`."""
        data, end = self.files["beacons.log"], 0
        for beacon, one in zip(self.beacons.beacons, self.beacons.envelopes, strict=True):
            if beacon.log_size > number:
                break
            end += 4 + len(one)
        return data[:end]

    def resealed(self, number: int, change: "Callable[[Given], Given]") -> Files:
        """All files with batch `number` made anew from changed inputs, executed and signed as the coordinator would."""
        folder = f"batches/{number}/"
        old = {name.removeprefix(folder): data for name, data in self.files.items() if name.startswith(folder)}
        header, state = self.header(self.files, number), self.state_before(number)
        held = unpack_statements(old.get(STATEMENTS_FILE, b""))
        rows, envelopes = read_statements(held, self.beacons, self.genesis_hash)
        Signatures(self.genesis_hash).check(envelopes, state.get("identity", {}))
        rows = [row._replace(measured=code) for row, code in zip(rows, old.get(MEASURED_FILE, b""), strict=True)]
        messages = unpack_owner_messages(old.get(OWNER_FILE, b""))
        owner = read_owner_messages(
            messages, self.genesis_hash, Keys(self.certificates[0].public_key, state.get("accounts", {}))
        )
        given = change(Given(rows, envelopes))
        packed = pack_statements(given.rows, given.envelopes)
        inputs = Inputs(Statements.of(given.rows), packed, *owner)
        refusals = REFUSALS.unpack(old.get(REFUSALS_FILE, b""))
        position = Position(number, header.previous, header.first_slot, header.last_slot)
        batch = sealed(
            position,
            inputs,
            refusals,
            state,
            in_force(self.genesis.parameters, state.get("accounts", {}), header.first_slot),
            self.beacons,
        )
        files = {name: data for name, data in self.files.items() if not name.startswith((folder, "log/"))}
        files.update({folder + name: bytes(content) for name, content in batch.files.items()})
        files[folder + HEADER_FILE] = self.signer.envelope(cose.TYPE_HEADER, batch.header.payload())
        return files


def later(name: str, number: int) -> bool:
    """Whether a file was not yet there when batch `number` was about to be sealed; the log is of the end."""
    folder, _, rest = name.partition("/")
    if folder == "log":
        return True
    return folder in ("batches", "readings") and int(rest.replace(".bin", "").split("/")[0]) >= number


def signer_of(key: bytes, genesis_hash: bytes) -> Signer:
    signing = nacl.signing.SigningKey(key)
    return Signer(
        cose.signer_id(bytes(signing.verify_key)), genesis_hash, lambda message: signing.sign(message).signature
    )


def read_public(root: Path) -> Files:
    paths = [path for pattern in PUBLIC_GLOBS for path in sorted(root.glob(pattern)) if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


@cache
def published() -> Published:
    """Five devices of two owners, two epochs closed, refusals, a stuck sensor and one device with private readings."""
    parameters = {"batch_beacons": 3, "epoch_beacons": 6, "sensing_units": [["Cel", -60_000, 130_000, 20_000, 4]]}
    with TemporaryDirectory() as folder:
        network = Network(Path(folder), 1, Faults(duplicate=0.3), parameters)
        tokens = [network.token("north"), network.token("south")]
        for index in range(5):
            sensor = {"sensor": stuck} if index == 3 else {}
            network.add(SimDevice(network, str(index), tokens[index % 2], readings_public=index != 4, **sensor))
        network.run(20)
        # End behind a beacon that no batch waits for: the newest batch is named by a beacon.
        while network.node.beacons.beacons[-1].log_size < network.node.next_batch:
            network.run(1)
        network.run(1)
        key = network.home.coordinator_key.read_bytes()
        return Published(read_public(network.home.root), network.genesis.hash, key)


@cache
def troubled() -> Published:
    """Rows in every file: owners over the cap, two copied devices in quarantine whose statements are refused, a restart
    from an older disk with the beacon that proved it, an operator who corrects, settles and
    quarantines, and owners who appeal."""
    parameters = {
        "batch_beacons": 3,
        "epoch_beacons": 6,
        "reward_owner_cap_ppm": 200_000,
        "sensing_units": [["Cel", -60_000, 130_000, 20_000, 4]],
    }
    with TemporaryDirectory() as folder:
        network = Network(Path(folder), 2, Faults(duplicate=0.2), parameters)
        tokens = [network.token(name) for name in ("north", "south", "east")]
        devices = [
            network.add(SimDevice(network, str(index), tokens[index % 3], readings_public=index != 5))
            for index in range(6)
        ]
        network.run(9)
        for device in devices[:2]:
            network.add(Clone(network, device, tokens[0]))
        network.run(12)
        newest = _newest(network)
        newest.number, newest.time = newest.number + 5, newest.time + 1
        with suppress(Fault):
            note_rolled_back(network.home, network.node.signer.envelope(cose.TYPE_BEACON, newest.payload()))
        restart(network.home)
        network.node = Node(network.home, recovered(network.home), LIMITS)
        network.run(6)
        operate(network, devices)
        network.run(6)
        while network.node.beacons.beacons[-1].log_size < network.node.next_batch:
            network.run(1)
        network.run(1)
        key = network.home.coordinator_key.read_bytes()
        return Published(read_public(network.home.root), network.genesis.hash, key)


def operate(network: Network, devices: list[SimDevice]) -> None:
    """The operator's messages and owners' appeals, twice what leaves a row, so that the rows have an order."""
    rows = read_public(network.home.root)
    last = max((name for name in rows if name.endswith("payouts.rows") and rows[name]), key=batch_of)
    owners = sorted({row[2] for row in PAYOUTS.unpack(rows[last])})
    now = network.genesis.parameters.calendar.epoch_of(network.node.beacons.newest)
    for at in (0, 1):
        say(network.home, network.genesis, kinds.CORRECT, [owners[at], devices[2 + at].id, at, 1_000 + at, 1 + at])
        reference = hashlib.sha256(b"payment %d" % at).digest()
        say(network.home, network.genesis, kinds.SETTLE, [owners[at], 500 + at, reference])
        held = [devices[2 + at].id, 2 + at, hashlib.sha256(b"evidence %d" % at).digest(), now + 5 + at]
        say(network.home, network.genesis, kinds.QUARANTINE, held)
    network.run(3)
    for at, name in ((2, "east"), (3, "north")):
        key = nacl.signing.SigningKey(network.random(f"owner {name}").randbytes(32))
        body = [devices[at].id, hashlib.sha256(b"appeal %d" % at).digest()]
        account = cose.signer_id(bytes(key.verify_key))
        network.node.owner_inbox.submit(signed_message(key, account, network.genesis.hash, kinds.APPEAL, 1, body)[0])
    network.run(3)
    for at in (2, 3):
        lifted = [devices[at].id, at, hashlib.sha256(b"answer %d" % at).digest()]
        say(network.home, network.genesis, kinds.LIFT, lifted)


def batch_of(name: str) -> int:
    return int(name.split("/")[1])


def _newest(network: Network) -> light.Beacon:
    return light.parse_beacon(cose.unwrap(network.node.beacons.envelopes[-1]).payload)
