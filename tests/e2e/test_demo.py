"""`edgetally demo` ends by itself, pays to the base unit, and no cheat is better off than its honest twin."""

import json
import shutil
from pathlib import Path

import pytest

from coordinator.engine.genesis import parse_genesis
from coordinator.kernel.amounts import share_ppm
from tests.cli.inside import edgetally
from tests.parts import require_micropython

from .conftest import Demo, run_demo

KINDS = ["replayer", "forger", "clone", "precomputed", "stuck", "farm"]
KEYS = {
    "data_dir",
    "genesis",
    "reports_sent",
    "reports_accepted",
    "refusals",
    "receipts_verified",
    "micropython",
    "epochs",
    "cheats",
}


def test_it_ends_by_itself_with_one_object_on_stdout(demo: Demo) -> None:
    assert demo.code == 0, demo.stderr
    assert demo.stdout.count("\n") == 1 and json.loads(demo.stdout) == demo.report
    assert "Traceback" not in demo.stderr and "Error" not in demo.stderr, demo.stderr
    assert demo.stderr.startswith("page  http://127.0.0.1:")
    assert demo.report.keys() >= KEYS
    assert Path(demo.report["data_dir"]) == demo.folder.resolve()
    assert demo.report["genesis"] == parse_genesis((demo.folder / "genesis.cbor").read_bytes()).hash.hex()


def test_every_epoch_is_split_to_the_base_unit(demo: Demo) -> None:
    epochs = demo.report["epochs"]
    assert [epoch["number"] for epoch in epochs] == [0, 1]
    for epoch in epochs:
        assert epoch["paid"] + epoch["treasury"] == epoch["emission"] > 0
        assert epoch["paid"] > 0 and epoch["treasury"] >= 0
        assert len(epoch["header"]) == 64
        assert sum(row["paid"] for row in demo.payouts(epoch["number"])) == epoch["paid"]


def test_what_was_sent_is_what_was_counted(demo: Demo) -> None:
    report = demo.report
    assert report["receipts_verified"] > 0
    assert report["reports_sent"] >= 8 * 2 * 8 // 2
    assert 0 < report["reports_accepted"] <= report["reports_sent"] + 40  # enrolments are accepted, too
    assert {"bad_signature", "duplicate", "stale_beacon", "fork", "quarantined"} <= report["refusals"].keys()
    assert all(type(count) is int and count > 0 for count in report["refusals"].values())


def test_all_six_cheats_tried(demo: Demo) -> None:
    assert [cheat["kind"] for cheat in demo.report["cheats"]] == KINDS
    for cheat in demo.report["cheats"]:
        assert cheat.keys() >= {"kind", "sent", "refused", "paid", "honest_twin_paid"}
        assert cheat["sent"] > 0 and cheat["honest_twin_paid"] > 0, cheat


@pytest.mark.parametrize(
    ("kind", "reasons"),
    [
        ("replayer", {"duplicate", "wrong_topic"}),
        ("forger", {"bad_signature"}),
        ("precomputed", {"stale_beacon"}),
    ],
)
def test_lies_are_refused_and_earn_nothing(demo: Demo, kind: str, reasons: set[str]) -> None:
    cheat = demo.cheat(kind)
    assert cheat["paid"] == 0
    assert cheat["refused"] > 0 and set(cheat["reasons"]) == reasons


def test_the_clone_is_quarantined_from_the_batch_of_the_proof_on(demo: Demo) -> None:
    cheat = demo.cheat("clone")
    assert "quarantined" in cheat["flags"] and {"fork", "quarantined"} <= set(cheat["reasons"])
    (device,) = cheat["devices"]
    done = edgetally("explain", device, "--data-dir", demo.folder, "--json")
    said = next(reason["text"] for reason in json.loads(done.stdout)["reasons"] if reason["code"] == "quarantined")
    batch = int(said.split("since batch ")[1].split(":")[0])
    epoch = batch // 8  # one slot a batch, eight slots an epoch
    paid = {number: [row for row in demo.payouts(number) if row["device"] == device] for number in (0, 1)}
    assert epoch == 1 and not [row for row in paid[epoch] if row["paid"]]
    assert sum(row["paid"] for row in paid[0]) > 0, "what it earned before the proof stands"
    assert cheat["paid"] == sum(row["paid"] for row in paid[0]) < cheat["honest_twin_paid"]


def test_the_stuck_sensor_loses_its_sensing_share(demo: Demo) -> None:
    cheat = demo.cheat("stuck")
    assert "constant" in cheat["flags"]
    assert 0 < cheat["paid"] < cheat["honest_twin_paid"]
    rows = [row for number in (0, 1) for row in demo.payouts(number) if row["device"] in cheat["devices"]]
    assert rows and all(row["sensing"] == 0 and row["presence"] > 0 for row in rows)


def test_the_farm_earns_no_more_than_its_owners_cap(demo: Demo) -> None:
    cheat = demo.cheat("farm")
    assert "owner_cap" in cheat["flags"]
    parameters = parse_genesis((demo.folder / "genesis.cbor").read_bytes()).parameters
    total = 0
    for epoch in demo.report["epochs"]:
        rows = [row for row in demo.payouts(epoch["number"]) if row["device"] in cheat["devices"]]
        cap = share_ppm(epoch["emission"], parameters.integer("reward_owner_cap_ppm"))
        assert sum(row["paid"] for row in rows) <= cap
        assert sum(row["presence"] + row["sensing"] for row in rows) > cap
        total += sum(row["paid"] for row in rows)
    assert cheat["paid"] == total > 0
    assert cheat["paid"] / len(cheat["devices"]) < cheat["honest_twin_paid"]


def test_a_real_micropython_earns(demo: Demo) -> None:
    require_micropython()
    assert demo.report["micropython"]["reports"] > 0
    assert demo.report["micropython"]["paid"] > 0


def test_this_machine_earns(demo: Demo) -> None:
    assert demo.report["host"]["reports"] > 0 and demo.report["host"]["paid"] > 0


WHY = {
    "replayer": ("wrong_topic", "in another device's name"),
    "forger": ("bad_signature", "not signed by its key"),
    "clone": ("quarantined", "two machines signed with its key"),
    "precomputed": ("stale_beacon", "so old"),
    "stuck": ("constant", "never changes"),
    "farm": ("owner_cap", "one owner can earn"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_explain_says_why(demo: Demo, kind: str) -> None:
    code, words = WHY[kind]
    device = demo.cheat(kind)["devices"][0]
    text = edgetally("explain", device, "--epoch", 1, "--data-dir", demo.folder)
    assert text.returncode == 0, text.stderr
    assert code in text.stdout and words in text.stdout
    told = json.loads(edgetally("explain", device, "--epoch", 1, "--data-dir", demo.folder, "--json").stdout)
    assert code in [reason["code"] for reason in told["reasons"]]
    assert told["state"] == "closed" and told["summary"] == text.stdout.splitlines()[0]


def test_a_second_run_continues(demo: Demo, tmp_path: Path) -> None:
    """On a copy, so that the other tests keep theirs."""
    folder = tmp_path / "data"
    shutil.copytree(demo.folder, folder)
    before = sorted(int(path.name) for path in (folder / "batches").iterdir())
    held = {path: path.read_bytes() for path in folder.glob("batches/*/*")}
    beacons = (folder / "beacons.log").read_bytes()
    again = run_demo(folder, "--devices", 8, "--epochs", 1, "--epoch-seconds", 8, "--beacon-seconds", 1, "--json")
    assert again.code == 0, again.stderr
    assert [epoch["number"] for epoch in again.report["epochs"]] == [2]
    assert again.report["genesis"] == demo.report["genesis"]
    assert again.cheat("clone")["paid"] == 0 and "quarantined" in again.cheat("clone")["flags"]
    assert {d for c in again.report["cheats"] for d in c["devices"]} == {
        d for c in demo.report["cheats"] for d in c["devices"]
    }
    after = sorted(int(path.name) for path in (folder / "batches").iterdir())
    assert after[: len(before)] == before and len(after) > len(before)
    assert all(path.read_bytes() == data for path, data in held.items())
    assert (folder / "beacons.log").read_bytes().startswith(beacons)
    verified = edgetally("verify", folder, "--genesis", demo.report["genesis"], "--json")
    assert verified.returncode == 0 and json.loads(verified.stdout)["batches"] == len(after)
