"""Runs on MicroPython: the sweep of power cuts."""

from tests.core.flash import Flash
from tests.core.outbox_bench import sweep

print(sweep(Flash))
