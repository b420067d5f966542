"""Processes of the benches: whoever is interrupted, none goes on alone."""

import os
import signal
from pathlib import Path

import pytest

from coordinator.bench.children import INTERRUPTS, Child


class _InterruptedAtOnce(Child):
    def _begin(self) -> None:
        super()._begin()
        os.kill(os.getpid(), signal.SIGINT)


def test_interrupted_while_it_begins_it_is_ended(tmp_path: Path) -> None:
    handlers = [signal.getsignal(one) for one in INTERRUPTS]
    child = _InterruptedAtOnce("http.server", ["0", "--bind", "127.0.0.1"], tmp_path / "log")
    with pytest.raises(KeyboardInterrupt), child:
        raise AssertionError("it must not get so far")
    try:
        with pytest.raises(ProcessLookupError):
            os.kill(child.pid, 0)
    finally:
        child.stop()
    assert [signal.getsignal(one) for one in INTERRUPTS] == handlers


def test_one_that_cannot_begin_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), Child("http.server", [], tmp_path / "nowhere" / "log"):
        raise AssertionError("it must not get so far")
