"""Runs on MicroPython: what `cases` says there."""

from tests.sensors import cases

print("\n".join(cases.lines()))
