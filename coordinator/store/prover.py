"""A prover over the folder of a data directory."""

from coordinator.engine.genesis import Genesis
from coordinator.engine.proofs import Prover

from .folders import FolderArchive
from .home import Home
from .log_files import LogFiles


def prover_of(home: Home, genesis: Genesis) -> Prover:
    files = LogFiles(home.log)
    return Prover(
        FolderArchive(home.root).read,
        files.hashes,
        lambda: max(0, files.size()),
        genesis.hash,
        genesis.parameters.calendar,
    )
