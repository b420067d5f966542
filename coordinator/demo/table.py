"""What the demo shows in the terminal: a live table, or one line an epoch where there is no terminal."""

import sys
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table

from coordinator.kernel.amounts import tokens

if TYPE_CHECKING:
    from .scenario import Scenario

HOW = {
    "replayer": "sends others' reports again",
    "forger": "signs with a wrong key",
    "clone": "copies a device's key",
    "precomputed": "signs reports in advance",
    "stuck": "has a sensor that never changes",
    "farm": "runs many keys for one owner",
}


class Board:
    """Remembers what it has printed."""

    def __init__(self) -> None:
        self._printed = -1

    async def print_lines(self, scenario: "Scenario") -> None:
        """One line on stderr for each epoch that closes."""
        for epoch in await scenario.epochs():
            if epoch.number > self._printed:
                self._printed = epoch.number
                text = f"epoch {epoch.number}: paid {tokens(epoch.paid)} to {epoch.devices} devices"
                print(f"{text}, treasury {tokens(epoch.treasury)}", file=sys.stderr, flush=True)

    async def table(self, scenario: "Scenario") -> Group:
        report = await scenario.report()
        epochs = await scenario.epochs()
        assert scenario.service is not None
        network = await scenario.service.queries.network()
        top = Table(title=f"page http://127.0.0.1:{scenario.options.http_port}/   Ctrl-C ends", title_justify="left")
        for name in ("beacon", "epoch", "devices", "reports", "accepted", "receipts", "paid", "treasury"):
            top.add_column(name, justify="right")
        top.add_row(
            *map(str, (network.beacon, network.epoch, network.devices, report["reports_sent"])),
            *map(str, (report["reports_accepted"], report["receipts_verified"])),
            tokens(network.paid),
            tokens(network.treasury),
        )
        tried = Table(title="cheats", title_justify="left")
        for name in ("cheat", "what it does", "sent", "refused", "why", "paid", "honest twin"):
            tried.add_column(name, justify="right" if name in ("sent", "refused", "paid", "honest twin") else "left")
        for cheat in report["cheats"]:
            reasons = ", ".join(dict.fromkeys([*cheat["reasons"], *cheat["flags"]]))
            tried.add_row(
                cheat["kind"],
                HOW[cheat["kind"]],
                str(cheat["sent"]),
                str(cheat["refused"]),
                reasons,
                tokens(cheat["paid"]),
                tokens(cheat["honest_twin_paid"]),
            )
        refused = ", ".join(f"{name} {count}" for name, count in sorted(report["refusals"].items()))
        last = f"last epoch {epochs[-1].number}: paid {tokens(epochs[-1].paid)}" if epochs else "no epoch closed yet"
        return Group(top, tried, f"refused: {refused or 'nothing'}", last)
