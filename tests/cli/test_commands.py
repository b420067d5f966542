"""The command line as a person meets it: help with an example, exit codes, errors that say what to do."""

import json
import re
import stat
from pathlib import Path

import pytest

from coordinator.engine.genesis import parse_genesis
from device_client.provisioning import load_provisioning

from .inside import edgetally

COMMANDS = [
    ("init",),
    ("owner", "new"),
    ("token", "new"),
    ("up",),
    ("verify",),
    ("compare",),
    ("explain",),
    ("payouts",),
    ("batch", "show"),
    ("replay",),
    ("doctor",),
    ("demo",),
    ("device", "run"),
]


def failed(*arguments: object, code: int = 2) -> str:
    """The one line on stderr of a command that refuses."""
    done = edgetally(*arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
    return done.stderr.strip()


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "mynet"
    done = edgetally("init", folder, "--name", "mynet")
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(maxsplit=1) for line in done.stdout.replace("root key", "root_key").splitlines())
    assert lines["network"] == "mynet" and "move it offline" in lines["root_key"]
    assert lines["genesis"] == parse_genesis((folder / "data/genesis.cbor").read_bytes()).hash.hex()
    assert lines["next"].startswith("edgetally owner new")
    return folder


def test_help_shows_an_example() -> None:
    for command in COMMANDS:
        done = edgetally(*command, "--help")
        assert done.returncode == 0 and f"Example: edgetally {' '.join(command)}" in done.stdout, command
    top = edgetally("--help").stdout
    assert all(command[0] in top for command in COMMANDS)
    assert re.fullmatch(r"edgetally \d+\.\d+\.\d+\n", edgetally("--version").stdout)
    assert edgetally("frobnicate").returncode == 2


def test_an_engine_that_is_not_one_is_named(founded: Path) -> None:
    config = ("--config", founded / "network.toml")
    told = failed("up", *config, "--engine", "gpu")
    assert 'engine: \'gpu\' is not accepted; it must be one of "serial", "threads", "processes", "dask"' in told
    told = failed("up", *config, "--scheduler", "tcp://127.0.0.1:8786")
    assert 'scheduler: only for engine = "dask", which is "serial"' in told
    told = failed("up", *config, "--engine", "dask", "--scheduler", "http://x")
    assert "it must be tcp://host:port or tls://host:port" in told


def test_a_network_is_founded_once(founded: Path) -> None:
    held = {path: path.read_bytes() for path in founded.rglob("*") if path.is_file()}
    assert "already holds a network; choose another folder" in failed("init", founded)
    assert {path: path.read_bytes() for path in founded.rglob("*") if path.is_file()} == held
    for secret in (
        founded / "root.key",
        founded / "data/private/coordinator.key",
        founded / "data/private/beacon.seed",
    ):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE((founded / "data/private").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("reward_owner_cap = 5", ["reward_owner_cap: no such parameter", "reward_owner_cap_ppm"]),
        ("beacon_interval_s = 0", ["beacon_interval_s", "from 1 to 3600"]),
        ("beacon_interval_s = 1.5", ["beacon_interval_s", "1.5", "from 1 to 3600"]),
        ("beacon_interval_s = true", ["beacon_interval_s", "True", "from 1 to 3600"]),
        ("reward_budget = 99999999999999999999", ["reward_budget", "from 0 to"]),
        ("deadline_beacons = 9\nlate_beacons_max = 8", ["late_beacons_max", "at least deadline_beacons"]),
        ('sensing_units = [["Cel", 1]]', ["sensing_units", "[unit, minimum, maximum, step, run]"]),
        ("beacon_interval_s = ", ["Invalid value"]),
    ],
)
def test_wrong_parameters(tmp_path: Path, text: str, words: list[str]) -> None:
    file = tmp_path / "parameters.toml"
    file.write_text(text)
    told = failed("init", tmp_path / "net", "--parameters", file)
    assert str(file) in told and all(word in told for word in words), told
    assert not (tmp_path / "net/data/genesis.cbor").exists()


def test_parameters_are_taken(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text("beacon_interval_s = 7\nepoch_beacons = 9\n")
    assert edgetally("init", tmp_path / "net", "--parameters", tmp_path / "p.toml").returncode == 0
    parameters = parse_genesis((tmp_path / "net/data/genesis.cbor").read_bytes()).parameters
    assert (parameters.integer("beacon_interval_s"), parameters.integer("epoch_beacons")) == (7, 9)
    assert "--name" in failed("init", tmp_path / "other", "--name", "No Such Name")
    assert "no-such.toml" in failed("init", tmp_path / "other", "--parameters", tmp_path / "no-such.toml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[broker]\nport = 0", ["broker.port: 0", "an integer from 1 to 65535"]),
        ("[broker]\nport = 70000", ["broker.port: 70000", "from 1 to 65535"]),
        ('[http]\nport = "8080"', ["http.port: '8080'", "from 1 to 65535"]),
        ("[http]\nhost = 5", ["http.host: 5", "a text"]),
        (
            "[http]\nprot = 80",
            [
                "http.prot: no such setting",
                "known are certfile, flash_images, host, hosts, keyfile, live_max",
            ],
        ),
        ("[limits]\nqueue_max = true", ["limits.queue_max: True", "from 1 to 1000000"]),
        ("[limits]\nverify_threads = 65", ["limits.verify_threads: 65", "from 0 to 64"]),
        (
            '[stores]\nledger = "postgresql://db/ledger"',
            ["stores.ledger: ", "sqlite:////", "PostgreSQL is not supported yet"],
        ),
        ('[stores]\nledger = "/srv/ledger.sqlite"', ["stores.ledger: ", "it must be sqlite:////path"]),
        ('[stores]\nledger = "sqlite:///srv/"', ["stores.ledger: ", "it must be sqlite:////path"]),
        ('[stores]\nloans = "sqlite:///a"', ["stores.loans: no such setting", "known are accounts, identity, intake"]),
        (
            '[stores]\nledger = "sqlite:///a"\nrewards = "sqlite:///b/../a"',
            ["stores.ledger: ", "is the file of stores.rewards already"],
        ),
        ('[stores]\nintake = "sqlite:///data/intake.sqlite"', ["stores.intake: ", "would be published"]),
        ("limits = 3", ["limits: 3", "a table"]),
        (
            "beacon_interval_s = 60",
            ["beacon_interval_s: no such setting", "known are broker, data_dir, engine, home_assistant, http"],
        ),
        ("[broker\nport = 1", ["line 1"]),
        ("data_dir = \x00", ["line 1"]),
        ("[broker]\nport = 0\n[http]\nport = 0", ["broker.port", "http.port"]),
    ],
)
def test_wrong_settings_name_file_key_and_range(tmp_path: Path, text: str, words: list[str]) -> None:
    file = tmp_path / "network.toml"
    file.write_text(text)
    told = failed("up", "--config", file)
    assert str(file) in told and all(word in told for word in words), told


def test_settings_that_are_not_there(tmp_path: Path) -> None:
    assert "no such file; make one with: edgetally init" in failed("up", "--config", tmp_path / "network.toml")
    (tmp_path / "network.toml").write_text("")
    assert "holds no network; make one with: edgetally init" in failed("up", "--config", tmp_path / "network.toml")
    (tmp_path / "network.toml").write_bytes(b"\xff\xfe")
    assert "network.toml" in failed("up", "--config", tmp_path / "network.toml")
    (tmp_path / "folder.toml").mkdir()
    assert "folder.toml" in failed("up", "--config", tmp_path / "folder.toml")


def test_owner_and_token(founded: Path, tmp_path: Path) -> None:
    key, out, config = tmp_path / "alice.key", tmp_path / "alice.json", founded / "network.toml"
    made = edgetally("owner", "new", key)
    assert made.returncode == 0 and stat.S_IMODE(key.stat().st_mode) == 0o600
    account = re.search(r"account +([0-9a-f]{32})\n", made.stdout)
    public = re.search(r"public key +([0-9a-f]{64})\n", made.stdout)
    assert account and public and key.read_bytes().hex() not in made.stdout + made.stderr
    assert "never overwritten" in failed("owner", "new", key)
    issued = edgetally("token", "new", "--owner", key, "--devices", 3, "--out", out, "--config", config)
    assert issued.returncode == 0, issued.stderr
    assert f"enrols 3 for account {account[1]}" in issued.stdout
    given = load_provisioning(out)
    assert given.network == "mynet" and given.token_seed.hex() not in issued.stdout + issued.stderr
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert "exists already" in failed("token", "new", "--owner", key, "--out", out, "--config", config)
    # By public key alone, and to stdout: the operator need not see the owner's key.
    printed = edgetally("token", "new", "--owner", public[1], "--config", config)
    assert json.loads(printed.stdout)["token_seed"] != given.token_seed.hex()
    assert "--owner" in failed("token", "new", "--owner", tmp_path / "nobody.key", "--config", config)
    (tmp_path / "short.key").write_bytes(b"x")
    assert "32 bytes" in failed("token", "new", "--owner", tmp_path / "short.key", "--config", config)
    assert edgetally("token", "new", "--owner", key, "--devices", 0, "--config", config).returncode == 2
    weak = "01" + "00" * 31
    assert weak in failed("token", "new", "--owner", weak, "--config", config)


def test_questions_about_nothing(founded: Path, tmp_path: Path) -> None:
    data = founded / "data"
    assert "32 lower-case hex digits" in failed("explain", "xyz", "--data-dir", data)
    assert "--data-dir" in failed("explain", "00" * 16, "--data-dir", tmp_path)
    assert "--data-dir" in failed("payouts", "--epoch", 0, "--data-dir", tmp_path)
    assert "no such folder" in failed("verify", tmp_path / "nowhere")
    told = edgetally("verify", tmp_path, "--json")
    assert told.returncode == 3 and json.loads(told.stdout)["wrong"] == {
        "batch": None,
        "file": "genesis.cbor",
        "field": None,
        "what": "is missing",
    }
