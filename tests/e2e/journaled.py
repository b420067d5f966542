"""A device as a process that may be killed: what it signs, hands over and is told stands in a journal, line by line.

python -m tests.e2e.journaled PROVISIONING STATE JOURNAL
"""

import asyncio
import json
import os
import sys
from collections import Counter
from pathlib import Path

from device_client import runner
from device_client.fleet import fleet_device
from device_client.provisioning import load_provisioning
from device_client.sensors.simulated import SimulatedRoom
from tests.history import History, Name, Receipt, watch


class _Sent(Counter[Name]):
    """Written down before the statement goes anywhere."""

    file = -1

    def __setitem__(self, name: Name, copies: int) -> None:
        if self.file >= 0:
            _write(self.file, ["sent", _plain(name), copies])
        super().__setitem__(name, copies)


class _Receipts(list[Receipt]):
    """Written down before the outbox forgets the statement."""

    file = -1

    def append(self, receipt: Receipt) -> None:
        if self.file >= 0:
            _write(self.file, ["receipt", _plain(receipt.name), *receipt[1:]])
        super().append(receipt)


def _plain(name: Name) -> list[object]:
    return [name[0].hex(), name[1], name[2], name[3].hex()]


def _write(file: int, line: list[object]) -> None:
    os.write(file, json.dumps(line).encode() + b"\n")


def journal(path: Path) -> History:
    """What a journal says."""
    history = History(_Sent(), _Receipts())
    for line in path.read_text().splitlines() if path.exists() else []:
        what, (device, boot, seq, id8), *rest = json.loads(line)
        name = (bytes.fromhex(device), boot, seq, bytes.fromhex(id8))
        if what == "sent":
            history.sent[name] = rest[0]
        else:
            history.receipts.append(Receipt(name, *rest))
    return history


def main(provisioning: Path, state: Path, path: Path) -> None:
    runner.BACKOFF_CAP_S = 0.5
    history = journal(path)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    history.sent.file = history.receipts.file = file  # type: ignore[attr-defined]
    device = fleet_device(load_provisioning(provisioning), state, SimulatedRoom(99), 1)
    watch(history, device.client)
    asyncio.run(device.run())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
