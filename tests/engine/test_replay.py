"""An epoch under other parameters: the same give the same, and others what the rules in plain words give."""

from pathlib import Path

import pytest

from coordinator.engine.archive import Wrong
from coordinator.engine.header import HEADER_FILE
from coordinator.engine.replay import NotReplayed, Replay, replay
from coordinator.kernel.amounts import PPM, TOKEN
from coordinator.kernel.parameters import TIME, ParameterError
from coordinator.modules.rewards import EPOCHS, PAYOUTS
from tests.cli.inside import edgetally

from .published import Files, MemoryArchive, published


def replayed(given: dict[str, object], epoch: int | None = None) -> Replay:
    return replay(MemoryArchive(published().files), given, epoch)


def paid(files: Files) -> dict[int, dict[bytes, int]]:
    """What the folders say, by epoch and device."""
    found: dict[int, dict[bytes, int]] = {}
    for name, data in files.items():
        if name.endswith("/payouts.rows"):
            for row in PAYOUTS.unpack(data):
                found.setdefault(int(row[0]), {})[bytes(row[1])] = int(row[6])  # type: ignore[arg-type]
    return found


def weights(epoch: int) -> dict[bytes, tuple[int, int]]:
    rows = [
        row for name, data in published().files.items() if name.endswith("payouts.rows") for row in PAYOUTS.unpack(data)
    ]
    return {row[1]: (row[9], row[10]) for row in rows if row[0] == epoch}  # type: ignore[misc]


def test_the_same_parameters_change_nothing() -> None:
    held = paid(published().files)
    assert len(held) >= 2
    for epoch, devices in held.items():
        found = replayed({}, epoch)
        assert (found.epoch, found.changed, found.was) == (epoch, {}, found.would_be)
        assert {one.device: one.paid for one in found.devices} == devices
        assert all(one.difference == 0 for one in found.devices) and any(one.paid for one in found.devices)


def test_the_newest_closed_epoch_is_meant_where_none_is_named() -> None:
    epochs = [
        row[0]
        for name, data in published().files.items()
        if name.endswith("/epochs.rows")
        for row in EPOCHS.unpack(data)
    ]
    assert replayed({}).epoch == max(epochs)


def test_a_doubled_budget_doubles() -> None:
    budget = published().genesis.parameters.integer("reward_budget")
    found = replayed({"reward_budget": 2 * budget})
    assert found.changed == {"reward_budget": (budget, 2 * budget)}
    assert (found.was.emission, found.would_be.emission) == (budget, 2 * budget)
    for one in found.devices:
        assert abs(one.would_be - 2 * one.paid) <= 4  # each of two pools is rounded by less than a unit
    assert sum(one.would_be for one in found.devices) == found.would_be.paid
    assert found.would_be.paid + found.would_be.treasury == 2 * budget


@pytest.mark.parametrize("presence_ppm", [0, 250_000, PPM])
@pytest.mark.parametrize("budget", [TOKEN, 7, 0])
def test_other_pools_are_split_by_the_same_weights(presence_ppm: int, budget: int) -> None:
    """The rule in plain words: floor(pool x prefix / all), less the one before; nobody is capped here."""
    given = {"reward_presence_ppm": presence_ppm, "reward_budget": budget, "reward_owner_cap_ppm": PPM}
    found = replayed(given)
    held = weights(found.epoch)
    presence_pool = budget * presence_ppm // PPM
    expected = dict.fromkeys(held, 0)
    for pool, kind in ((presence_pool, 0), (budget - presence_pool, 1)):
        total, before = sum(one[kind] for one in held.values()), 0
        for device in sorted(held):
            after = before + held[device][kind]
            expected[device] += pool * after // total - pool * before // total if total else 0
            before = after
    assert {one.device: one.would_be for one in found.devices} == expected


def test_an_earlier_epoch_is_replayed_on_the_state_of_its_time() -> None:
    """No withheld part is released that a later epoch released, and the epoch before stays as it was paid."""
    first = replayed({"reward_vetting_epochs": 0}, 0)
    assert all(one.difference == 0 for one in first.devices)  # what is withheld is a part of what is paid


@pytest.mark.parametrize("name", [parameter.name for parameter in TIME])
def test_time_cannot_be_replayed(name: str) -> None:
    now = published().genesis.parameters.integer(name)
    assert replayed({name: now}).changed == {}
    with pytest.raises(NotReplayed, match=f"{name} cannot be replayed: it is a parameter of time"):
        replayed({name: now + 1})


def test_what_cannot_be_replayed_says_why() -> None:
    with pytest.raises(NotReplayed, match="sensing_units cannot be replayed: readings were judged"):
        replayed({"sensing_units": []})
    with pytest.raises(ParameterError, match="reward_budget: -1 is not an integer"):
        replayed({"reward_budget": -1})
    with pytest.raises(ParameterError, match="frobs: no such parameter"):
        replayed({"frobs": 1})
    with pytest.raises(NotReplayed, match="epoch 99 is not closed"):
        replayed({}, 99)
    few = {name: data for name, data in published().files.items() if not name.startswith(("batches/", "log/"))}
    with pytest.raises(NotReplayed, match="no epoch is closed yet"):
        replay(MemoryArchive(few), {})


def test_a_folder_that_does_not_hold_is_not_replayed() -> None:
    files = dict(published().files)
    files["batches/1/statements.bin"] = files["batches/1/statements.bin"][:-1]
    with pytest.raises(Wrong, match="statements"):
        replay(MemoryArchive(files), {})
    last = max(int(name.split("/")[1]) for name in files if name.startswith("batches/"))
    with pytest.raises(Wrong):
        replay(MemoryArchive({**files, f"batches/{last}/{HEADER_FILE}": b"x"}), {})


def test_on_the_command_line(tmp_path: Path) -> None:
    for name, data in published().files.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    other = tmp_path / "other.toml"
    other.write_text("reward_budget = 5000000000\n")
    arguments = ("replay", tmp_path / "data", "--params", other)
    told = edgetally(*arguments)
    assert told.returncode == 0, told.stderr
    assert "reward_budget: 1000000000000 -> 5000000000" in told.stdout and "-995.000000000" in told.stdout
    found = replayed({"reward_budget": 5 * TOKEN})
    rows = edgetally(*arguments, "--csv").stdout.splitlines()
    assert rows[0] == "device,owner,paid,would_be,difference"
    assert rows[1:] == [
        f"{one.device.hex()},{one.owner.hex()},{one.paid},{one.would_be},{one.difference}" for one in found.devices
    ]
    assert '"would_be": {"emission": 5000000000,' in edgetally(*arguments, "--json", "--epoch", found.epoch).stdout
    other.write_text("deadline_beacons = 9\n")
    told = edgetally(*arguments)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith("edgetally: deadline_beacons cannot be replayed")
    other.write_text("what")
    assert edgetally(*arguments).returncode == 2
    assert edgetally("replay", tmp_path / "data", "--params", tmp_path / "none.toml").returncode == 2
