"""Who this board is: a key that is born here and never leaves, and the outbox that belongs to it.

As `identity.py` for files. The ring holds the boot counter: a key whose counter is gone must not speak again, or the
board would look like a copy of itself. So where one is without the other, the board begins anew with another key. A
power cut between these steps leaves one without the other, which leads here again.
"""

import os

from memory import KEY_BYTES


def opened(kept, outbox, random=os.urandom):
    """(seed, outbox). The radio must be on: it makes the randomness. Raises OSError."""
    seed = kept.key()
    if seed is not None and outbox.boot and not outbox.lost:
        return seed, outbox
    if seed is not None or outbox.boot or outbox.lost:
        print("edgetally: identity_lost", "key" if seed is None else "outbox")
    forget(kept, outbox)
    seed = random(KEY_BYTES)
    kept.set_key(seed)
    return seed, outbox


def forget(kept, outbox):
    """The key goes first: an outbox without its boot counter must never meet it again."""
    kept.forget_key()
    if outbox.boot or outbox.lost:
        outbox.clear()
