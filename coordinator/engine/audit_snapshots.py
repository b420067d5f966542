"""The auditor's look at the snapshots that it passes: each must be the state that the batches give, and signed."""

import hashlib

from device_client.core import light, merkle, verdicts

from .archive import Archive, Wrong
from .genesis import Genesis, coordinator_key
from .header import Header
from .snapshots import MANIFEST_FILE, TABLES, check_manifest, difference, folder_of
from .state import NetworkState
from .wire import Refused


class SnapshotAudit:
    """`checked` counts those that were there."""

    def __init__(self, archive: Archive, genesis: Genesis, certificates: list[light.Certificate]) -> None:
        self._archive = archive
        self._genesis = genesis
        self._certificates = certificates
        self._numbers = set(archive.snapshots())
        self.checked = 0

    def check(self, header: Header, header_id: bytes, frontier: merkle.Frontier, state: NetworkState) -> None:
        """After a batch; `frontier` and `state` are those behind it. Raises Wrong."""
        number, folder = header.number, folder_of(header.number)
        if number not in self._numbers:
            return
        name = f"{folder}/{MANIFEST_FILE}"
        data = self._archive.read(name)
        if data is None:
            return
        try:
            key = coordinator_key(self._certificates, header.last_slot + 1)
            manifest = check_manifest(data, self._genesis.hash, key)
        except Refused as error:
            is_foreign = error.code == verdicts.BAD_SIGNATURE
            raise Wrong(number, name, "is not signed by the coordinator" if is_foreign else str(error)) from error
        if (manifest.number, manifest.header) != (number, header_id):
            raise Wrong(number, name, "is of another batch")
        if manifest.frontier != frontier.hashes():
            raise Wrong(number, name, "its log is not that of the headers")
        if other := difference(manifest, state):
            module, table = TABLES[other]
            raise Wrong(number, f"{folder}/{other}", f"table {table.name} of {module} is not what the batches give")
        for entry in manifest.files:
            held = self._archive.read(f"{folder}/{entry.name}")
            if held is None and self._archive.read(name) is None:
                return  # the coordinator has taken it away meanwhile
            if held is None or hashlib.sha256(held).digest() != entry.sha256:
                what = "is missing" if held is None else "does not have the hash that the manifest gives"
                raise Wrong(number, f"{folder}/{entry.name}", what)
        self.checked += 1
