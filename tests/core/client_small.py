"""Runs on MicroPython in a small heap: a client enrols, reports through an outage, and gets its receipts."""

# ruff: noqa: E402, F401
# Compiling takes more memory than running: what one file left behind goes before the next is compiled.
import gc

import device_client.core.client

gc.collect()
from device_client.core import outbox

gc.collect()
from tests.core.client_bench import Sitting

outbox.COMPACT_BYTES_MIN = 1024  # the flash of these tests is in the same heap


def session(between=None):
    """The numbers of the statements that were sent and receipted, in the order of sending. `between` is called after
    each step: a board collects its garbage there."""
    at = Sitting(enrolled=False, records_max=8)
    at.beacon()
    seen = []
    for step in range(200):
        if step % 20 == 10:
            at.client.disconnected()
        if step % 20 == 15:
            at.client.connected(at.now_ms)
        sent = at.report(3)
        at.receipt(sent[:5]) if sent else None
        seen += [said.seq for said, _, _ in sent]
        if between:
            between()
    assert at.client.outbox.enrolled and len(at.client.outbox.pending) < 4
    return seen


if __name__ == "__main__":
    print(" ".join([str(seq) for seq in session(gc.collect)]))
