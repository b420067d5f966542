"""The figures as lines for people."""

from typing import Any

FOREIGN_CORES_MAX = 0.2


def lines(found: dict[str, Any]) -> list[str]:
    bare, cpu = found["bare_verify_per_s"], found["cpu_us_per_report"]
    parts = f"{found['connections']} connections, {found['devices']} devices, {found['broker']}"
    rows = [
        ("bare verification, one thread", _count(bare["one"]), "a second"),
        ("bare verification, two threads", _count(bare["two"]), "a second"),
        ("reports", _count(found["reports_per_s"]), f"a second, {found['ratio']:.2f} of bare on two threads"),
        ("CPU a report: signatures", f"{cpu['crypto']:.1f}", "us"),
        ("CPU a report: all else", f"{cpu['other']:.1f}", "us"),
        ("CPU a report: broker", f"{cpu['broker']:.1f}", "us"),
        (f"reading sets, {found['sets']} a report", _count(found["sets_per_s"]), "a second"),
        ("the naive way", _count(found["naive_reports_per_s"]), "reports a second"),
        ("publish to receipt, half", _ms(found["p50_ms"]), "ms at half of that rate"),
        ("publish to receipt, 99 of 100", _ms(found["p99_ms"]), "ms at half of that rate"),
        ("memory", f"{found['rss_mb']:.0f}", "MB"),
    ]
    if two := found["two_process"]:
        what = f"reports, {found['ingest_workers']} processes over one"
        rows.append((what, f"{two['ratio']:.2f}", f"one takes in {_count(two['one'])} a second"))
    if found["foreign_cores"] > FOREIGN_CORES_MAX:
        rows.append(
            ("busy with other work", f"{found['foreign_cores']:.1f}", "cores: measure again on an idle machine")
        )
    title = f"{parts}; {found['runs']} runs of {found['seconds']:.1f} s, medians"
    return [title, *(f"  {name:<34}{value:>9}  {unit}" for name, value, unit in rows)]


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
