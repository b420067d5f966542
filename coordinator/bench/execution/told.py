"""The figures as lines for people."""

from typing import Any

from coordinator.bench.told import FOREIGN_CORES_MAX


def lines(found: dict[str, Any]) -> list[str]:
    out = [f"{found['machine']}; {found['devices']:,} devices of {found['owners']:,} owners; {found['seconds']:.0f} s"]
    for rows, one in found["statements"].items():
        out.append(f"a batch of {int(rows):,} statements, from columns to a durable folder")
        out.append(_line("one worker", f"{one['serial_s']:.2f} s", f"{one['cpu_s']:.2f} s of CPU"))
        if one["verify_cpu_s"]:
            share = f"{100 * one['cpu_over_verify']:.1f} % of decoding and checking its signatures"
            out.append(_line("", f"{one['verify_cpu_s']:.1f} s", f"of CPU for those: this is {share}"))
        out.append(_line("two workers", f"{one['two_s']:.2f} s", "two threads, the same header"))
        out.append(_line("execution alone", f"{one['execute_s']:.2f} s", "from columns to effects"))
        if one["python_loop_s"]:
            times = one["python_loop_s"] / one["execute_s"]
            whole = one["python_loop_folder_s"] / one["serial_s"]
            out.append(
                _line(
                    "the plain loop",
                    f"{one['python_loop_s']:.2f} s",
                    f"{times:.1f} times as long; with the folder {whole:.1f}",
                )
            )
        out.append(_line("memory", f"{one['peak_bytes_per_statement']:.0f}", "bytes a statement at most"))
    if checks := found["verify"]:
        out.append("signatures a second")
        out.append(_line("one thread", f"{checks['one_per_s']:,}", ""))
        out.append(_line("two threads", f"{checks['two_per_s']:,}", f"{checks['two_per_s'] / checks['one_per_s']:.2f}"))
        out.append(_line("Dask, two workers", f"{checks['dask_per_s']:,}", ""))
    if moved := found["transfers"]:
        out.append("transfers a second, durable, signatures apart: one worker, two, the plain loop in memory")
        for kind in ("uncontended", "hot10", "one_account"):
            name = f"{kind}_per_s"
            out.append(_line(kind, f"{moved[name]:,}", f"{moved['two'][name]:,} {moved['one_by_one'][name]:,}"))
    same = {True: "the same", None: "not compared"}[found["roots_equal"]]
    out.append(_line("roots of all engines", same, ""))
    if found["foreign_cores"] > FOREIGN_CORES_MAX:
        busy = f"{found['foreign_cores']:.1f}"
        out.append(_line("busy with other work", busy, "cores: measure again on an idle machine"))
    return out


def _line(name: str, value: str, told: str) -> str:
    return f"  {name:<22}{value:>12}  {told}".rstrip()
