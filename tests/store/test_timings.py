"""Timings on the disk: the newest are kept, what is not one is none, and none of it is published."""

import asyncio
import json
from pathlib import Path

from coordinator.engine.timing import Span
from coordinator.modules import MODULES
from coordinator.settings import Settings
from coordinator.store.folders import numbered
from coordinator.store.home import Home
from coordinator.store.timings import KEPT, read_timings, write_timings
from tests.cli.inside import edgetally
from tests.e2e.running import Net
from tests.ingest.hand import Hand

from .driven import driven

SPAN = Span(0, "identity", "lane", 0, 1, 2, "3/4")


def test_the_newest_are_kept(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    for number in range(KEPT + 3):
        write_timings(home, number, [SPAN])
    assert len(list(home.timings.iterdir())) == KEPT
    assert read_timings(home, 2) is None
    assert read_timings(home, 3) == read_timings(home, KEPT + 2) == [SPAN]


def test_what_is_no_timings_is_none(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    assert read_timings(home, 0) is None
    write_timings(home, 0, [SPAN])
    good = (home.timings / "0.json").read_text()
    for text in (
        "",
        "{",
        "[1]",
        "3",
        '[["a", 1, 2, 3, 4, 5, 6]]',
        good[:-3],
        good.replace("0", "0.5"),
    ):
        (home.timings / "0.json").write_text(text)
        assert read_timings(home, 0) is None, text


class Lanes(Net):
    @property
    def settings(self) -> Settings:
        return super().settings.model_copy(update={"engine": "processes", "lanes": 2})


def test_a_batch_is_shown_with_its_waves_lanes_and_timings(tmp_path: Path) -> None:
    net = Lanes(tmp_path)
    hands = [Hand(net.given(net.token())) for _ in range(6)]

    async def live() -> None:
        async with driven(net) as at:
            await at.beacons()
            for hand in hands:
                await at.enrol(hand)
            await at.beacons(2)
            assert await at.service.queries.batch(9) is None
            views = [await at.service.queries.batch(number) for number in numbered(net.home.batches)]
            shown = next(view for view in views if view is not None and view.statements == 6)
            assert shown.spans is not None
            files = {one.name: one for one in shown.files}
            assert files["statements.bin"].rows == files["verdicts.rows"].rows == files["measured.rows"].rows == 6
            folder = net.home.batches / str(shown.number)
            assert {one.name: one.bytes for one in shown.files} == {
                path.name: path.stat().st_size for path in folder.iterdir() if path.name != "header.cose"
            }
            modules = {one.name: one for one in shown.modules}
            assert modules["identity"].changed and not modules["ledger"].changed
            assert modules["identity"].records["verdicts"] == 6
            assert [(one.name, one.wave) for one in shown.modules[:2]] == [("accounts", 0), ("identity", 1)]
            assert modules["presence"].wave == modules["sensing"].wave == 2
            lanes = {(one.module, one.lane) for one in shown.spans if one.step == "lane"}
            assert lanes == {(module.name, lane) for module in MODULES if module.partial for lane in range(2)}
            here = {one.worker for one in shown.spans if one.step == "finish"}
            assert not here & {one.worker for one in shown.spans if one.step == "lane"}
            assert [one.step for one in shown.spans if one.wave < 0] == [
                "read the intake",
                "order and measure",
                "files and roots",
                "write the folder",
                "apply to the stores",
            ]

    asyncio.run(live())
    shown = next(
        number for number in numbered(net.home.batches) if (net.home.batches / f"{number}/verdicts.rows").exists()
    )
    told = edgetally("batch", "show", shown, "--data-dir", net.home.root)
    assert told.returncode == 0, told.stderr
    for words in (
        "identity lane 0",
        "identity lane 1",
        "presence finish",
        "statements.bin",
        "apply to the stores",
        "█",
    ):
        assert words in told.stdout
    found = json.loads(edgetally("batch", "show", shown, "--json", "--data-dir", net.home.root).stdout)
    assert found["waves"] == [
        ["accounts"],
        ["identity"],
        ["presence", "sensing", "notices"],
        ["rewards"],
        ["ledger"],
        ["messages"],
    ]
    assert {one["name"]: one["rows"] for one in found["files"]}["verdicts.rows"] == 6
    assert sum(one["step"] == "lane" for one in found["spans"]) == 2 * sum(bool(module.partial) for module in MODULES)
    told = edgetally("batch", "show", 99, "--data-dir", net.home.root)
    assert (told.returncode, told.stderr) == (2, "edgetally: batch 99 is not sealed yet\n")
    assert net.audit().statements == 6
    assert not [path for path in net.home.batches.rglob("*") if "timing" in path.name]
