"""The figures as lines for people."""

from typing import Any

FOREIGN_CORES_MAX = 0.2


def lines(found: dict[str, Any]) -> list[str]:
    options = found["options"]
    out = [
        f"{options['devices']} devices, {options['epochs']} epochs, {found['rows']} payouts in the stores;"
        f" {options['requests_s']:g} requests/s for {options['seconds']:g} s",
        f"  beside them {found['half_per_s']:.0f} reports/s, half of the highest rate ({found['highest_per_s']:.0f});"
        f" 99 of 100 receipted within {found['receipt_p99_ms']:.0f} ms",
        f"  {'':22}{'alone, ms':>20}{'beside reports, ms':>24}",
        f"  {'':22}{'p50':>10}{'p95':>10}{'p50':>12}{'p95':>12}{'bytes':>9}",
    ]
    alone, beside = found["pages"]["alone"], found["pages"]["beside"]
    for name, one in beside.items():
        first = alone[name]
        failed = f"  {one['failed']} FAILED" if one["failed"] else ""
        out.append(
            f"  {name:22}{first['p50_ms']:10.1f}{first['p95_ms']:10.1f}{one['p50_ms']:12.1f}{one['p95_ms']:12.1f}"
            f"{one['bytes']:9}{failed}"
        )
    if found["foreign_cores"] > FOREIGN_CORES_MAX:
        out.append(f"  busy with other work: {found['foreign_cores']:.1f} cores: measure again on an idle machine")
    return out
