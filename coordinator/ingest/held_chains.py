"""The chains that the intake holds in memory: those with statements in open slots, and others while there is room."""

from collections.abc import Iterable

from coordinator.kernel.chains import Chain
from coordinator.kernel.following import BOOTS_MAX
from coordinator.kernel.rows import rows_of
from coordinator.kernel.tables import TableState

from .registry import Changes

HELD_MAX = 100_000
ChainKey = tuple[bytes, int]


class HeldChain:
    """A chain, the newest slot in which it grew (-1: not since it was read), and whether execution has given it up and
    so could not tell a repeat from a new one."""

    __slots__ = ("chain", "is_forgotten", "last_slot")

    def __init__(self, chain: Chain, is_forgotten: bool) -> None:
        self.chain = chain
        self.is_forgotten = is_forgotten
        self.last_slot = -1


class HeldChains:
    """Reads a chain from identity's state when its device first speaks."""

    def __init__(self, identity: TableState) -> None:
        self._identity = identity
        self._held: dict[ChainKey, HeldChain] = {}

    def held(self, device: bytes, boot: int) -> HeldChain | None:
        return self._held.get((device, boot))

    def of(self, device: bytes, boot: int, slot: int) -> HeldChain:
        """The chain of a boot; a new one begins in `slot`."""
        found = self._held.get((device, boot))
        if found is None:
            row = self._identity.get("chains", {}).get((device, boot))
            chain = Chain.unpack(*row) if row else Chain(slot)  # type: ignore[arg-type]
            found = HeldChain(chain, row is None and self._is_forgotten(device, boot))
            self._held[(device, boot)] = found
        return found

    def _is_forgotten(self, device: bytes, boot: int) -> bool:
        boots = [int(key[1]) for key, _ in rows_of(self._identity, "chains").under((device,))]
        return len(boots) >= BOOTS_MAX and boot < min(boots)

    def refresh(self, identity: TableState, changes: Changes, refused: Iterable[bytes]) -> None:
        """A batch was applied. What it alone changed is dropped where the state may know better: execution adds in
        canonical order and so may have found fewer gaps. What it refused or gave up is dropped in any case."""
        self._identity = identity
        gone = set(refused)
        boots_gone = set(changes.dropped_boots)
        room = HELD_MAX
        kept: dict[ChainKey, HeldChain] = {}
        for key, held in reversed(self._held.items()):
            if key[0] in gone or key in boots_gone or not held.chain.high:
                continue
            is_sealed = held.last_slot <= changes.last_slot
            if is_sealed and (held.chain.gaps or held.chain.lost or room <= 0):
                continue
            room -= 1
            kept[key] = held
        self._held = dict(reversed(kept.items()))
