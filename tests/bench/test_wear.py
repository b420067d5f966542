"""The target of flash wear, and that the arithmetic of the documentation is that of the bench."""

import re

from tests.bench import wear
from tests.parts import ROOT


def test_a_report_costs_less_than_a_tenth_of_an_erase_and_all_sectors_wear_alike() -> None:
    found = wear.measured(sectors=16, days=2)
    assert found["with_receipts"]["erases"] <= 0.1
    assert found["offline_erases"] <= 0.1
    assert found["spread"] <= 1 and found["held_per_sector"] > 13  # of 16 at most: one sector is free, one is begun
    assert 200 <= found["message_bytes"] <= 300


def test_the_years_of_the_documentation_are_those_of_the_formula() -> None:
    text = (ROOT / "docs/concepts/outbox.md").read_text()
    rows = re.findall(r"^\| (\d+) KiB \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", text, re.MULTILINE)
    assert len(rows) >= 4
    for kib, statements, *years in rows:
        size = int(kib) << 10
        assert int(statements.replace(",", "")) == (size // wear.SECTOR - 1) * 14
        for interval_s, told in zip((10, 60, 600), years, strict=True):
            assert int(told.replace(",", "")) == int(wear.years(size, interval_s, 0.1)), (kib, interval_s)
