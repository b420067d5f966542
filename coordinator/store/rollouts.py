"""Releases and how far they go: what the operator's commands write and the running coordinator reads.

    private/releases/<board>/<version>/   manifest.cose, files (the list), data/<path>
    private/rollouts/<board>.json         {"version", "ppm", "halted"}: of the devices of a board class
    private/rollouts/<board>-<version>.log   device (16), stage (1), reason (1): what became of whom

A device's place in a rollout follows from its id and the version. It is offered the release once the cursor is beyond
its place; the cursor only grows, so nobody is chosen twice and nobody is left behind.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from coordinator.kernel.operator_views import RolloutView
from device_client.core import cose, manifest
from device_client.core.cbor import Malformed
from device_client.core.releases import listed
from device_client.durable import replace_durably, sync_folder, write_synced

PPM = 1_000_000
RECORD_BYTES = 18

OFFERED = 1  # the manifest was sent
FETCHING = 2  # the device has asked for a chunk
RUNNING = 3  # the device has said that it runs it
REFUSED = 4  # the device has said why not
ROLLED_BACK = 5  # the device has tried it, without a receipt
STAGES = {OFFERED: "offered", FETCHING: "fetching", RUNNING: "running", REFUSED: "refused", ROLLED_BACK: "rolled_back"}


class ReleaseBroken(ValueError):
    """A release's folder does not hold what its manifest says."""


class Release(NamedTuple):
    """One release in memory. `parts` are the list and the files in its order."""

    board: str
    version: int
    not_after: int
    envelope: bytes
    parts: tuple[bytes, ...]

    @property
    def id(self) -> bytes:
        return manifest.release_of(self.envelope)

    @property
    def size(self) -> int:
        return sum(map(len, self.parts))


class Rollout(NamedTuple):
    """`ppm` of the devices of class `board` are offered `version`, unless it is `halted`."""

    board: str
    version: int
    ppm: int
    halted: bool


def place(device: bytes, version: int) -> int:
    """Where a device stands in the rollout of a version: 0 to PPM - 1."""
    digest = hashlib.sha256(device + version.to_bytes(4, "big")).digest()
    return int.from_bytes(digest[:8], "big") * PPM >> 64


class Rollouts:
    def __init__(self, folder: Path, releases: Path) -> None:
        self._folder = folder
        self._releases = releases

    # RELEASES

    def versions(self, board: str) -> list[int]:
        """The versions that are signed for a board class, ascending."""
        folder = self._releases / board
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        return sorted(int(name) for name in names if name.isdecimal())

    def add(self, envelope: bytes, files: dict[str, bytes]) -> Path:
        """Keep a signed release. Raises FileExistsError over one of its version, OSError, Malformed."""
        found = manifest.parse_manifest(cose.unwrap(envelope).payload)
        target = self._releases / found.board / str(found.version)
        if target.exists():
            raise FileExistsError(f"version {found.version} is signed for {found.board} already")
        making = target.with_name(target.name + ".new")
        lines = [(path, len(data), hashlib.sha256(data).digest()) for path, data in files.items()]
        making.mkdir(parents=True, exist_ok=True)
        write_synced(making / manifest.LIST, (listed(lines),))
        for path, data in files.items():
            (making / "data" / path).parent.mkdir(parents=True, exist_ok=True)
            write_synced(making / "data" / path, (data,))
        write_synced(making / manifest.MANIFEST, (envelope,))
        making.rename(target)
        sync_folder(target.parent)
        return target

    def release(self, board: str, version: int) -> Release:
        """Raises ReleaseBroken, also where there is none."""
        folder = self._releases / board / str(version)
        try:
            envelope = (folder / manifest.MANIFEST).read_bytes()
            listing = (folder / manifest.LIST).read_bytes()
            found = manifest.parse_manifest(cose.unwrap(envelope).payload)
            if hashlib.sha256(listing).digest() != found.list_digest or len(listing) != found.list_bytes:
                raise ReleaseBroken(f"{folder}: {manifest.LIST} is not what the manifest names")
            parts = [listing]
            for path, size, digest in entries(listing):
                data = (folder / "data" / path).read_bytes()
                if len(data) != size or hashlib.sha256(data).digest() != digest:
                    raise ReleaseBroken(f"{folder}: {path} is not what the list names")
                parts.append(data)
        except OSError as error:
            raise ReleaseBroken(f"{error.filename}: {error.strerror}") from error
        except (Malformed, manifest.Refused) as error:
            raise ReleaseBroken(f"{folder}: {error}") from error
        if (found.board, found.version) != (board, version):
            raise ReleaseBroken(f"{folder}: the manifest is of version {found.version} for {found.board}")
        return Release(board, version, found.not_after, envelope, tuple(parts))

    # ROLLOUTS

    def rollouts(self) -> dict[str, Rollout]:
        """By board class. Raises OSError; a file that cannot be read as a rollout is none."""
        found = {}
        for path in sorted(self._folder.glob("*.json")) if self._folder.is_dir() else ():
            try:
                fields = json.loads(path.read_text())
                found[path.stem] = Rollout(
                    path.stem, int(fields["version"]), int(fields["ppm"]), bool(fields["halted"])
                )
            except (ValueError, KeyError, TypeError):
                continue
        return found

    def told(self, rollout: Rollout) -> RolloutView:
        """How far it came. Raises OSError."""
        stages = self.stages(rollout.board, rollout.version)
        by_stage = Counter(stage for stage, _ in stages.values())
        reasons = Counter(
            manifest.REASONS[reason] for stage, reason in stages.values() if reason and stage != ROLLED_BACK
        )
        devices = {name: by_stage[stage] for stage, name in STAGES.items()}
        return RolloutView(*rollout, len(stages), devices, dict(sorted(reasons.items())))

    def put(self, rollout: Rollout) -> None:
        self._folder.mkdir(exist_ok=True)
        fields = {"version": rollout.version, "ppm": rollout.ppm, "halted": rollout.halted}
        replace_durably(self._folder / f"{rollout.board}.json", json.dumps(fields).encode())

    # WHAT BECAME OF IT

    def _log(self, board: str, version: int) -> Path:
        return self._folder / f"{board}-{version}.log"

    def note(self, board: str, version: int, records: list[tuple[bytes, int, int]]) -> None:
        """Append (device, stage, reason)."""
        with self._log(board, version).open("ab") as file:
            file.write(b"".join(device + bytes((stage, reason)) for device, stage, reason in records))

    def stages(self, board: str, version: int) -> dict[bytes, tuple[int, int]]:
        """The newest (stage, reason) of every device that was offered the version."""
        path = self._log(board, version)
        return dict(_records(path.read_bytes())) if path.exists() else {}


def entries(listing: bytes) -> Iterator[tuple[str, int, bytes]]:
    """(path, bytes, digest) of each line. Raises Malformed and manifest.Refused."""
    at = 0
    while at < len(listing):
        path, size, digest, end = manifest.parse_entry(listing[at : at + manifest.ENTRY_BYTES_MAX])
        yield path, size, digest
        at += end


def _records(data: bytes) -> Iterator[tuple[bytes, tuple[int, int]]]:
    for at in range(0, len(data) - RECORD_BYTES + 1, RECORD_BYTES):
        yield data[at : at + 16], (data[at + 16], data[at + 17])
