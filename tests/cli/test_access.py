"""`edgetally access`: links, tokens and sessions on the server, and every refusal in one line."""

import json
import re
from pathlib import Path

import pytest

from .inside import edgetally
from .test_commands import failed

ACCOUNT = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("access") / "net"
    assert edgetally("init", folder, "--name", "access").returncode == 0
    return folder / "network.toml"


def done(config: Path, *arguments: object) -> str:
    ran = edgetally("access", *arguments, "--config", config)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_a_link_names_the_page(config: Path) -> None:
    told = done(config, "invite", "--role", "operator", "--name", "olga").strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:8080/login/link\?code=[\w-]{43}", told)
    assert done(config, "invite", "--role", "owner", "--account", ACCOUNT).startswith("http")


def test_a_token_is_told_once_listed_without_its_secret_and_revoked(config: Path) -> None:
    given = ("--role", "reader", "--name", "grafana", "--scope", "metrics", "--scope", "operator:read")
    secret = done(config, "token", "new", *given, "--expires-days", 7).strip()
    assert re.fullmatch(r"et_[\w-]{43}", secret)
    (row,) = json.loads(done(config, "token", "list", "--json"))["tokens"]
    assert row["who"] == "reader grafana" and row["scopes"] == ["metrics", "operator:read"]
    assert row["ends"] - row["made"] == 7 * 86_400 and secret not in done(config, "token", "list")
    assert "reader grafana" in done(config, "token", "revoke", row["id"])
    assert done(config, "token", "list") == ""


def test_nobody_is_signed_in_and_all_can_be_ended(config: Path) -> None:
    assert json.loads(done(config, "sessions", "--json")) == {"sessions": []}
    assert done(config, "end", "--all") == "ended: 0 sessions\n"
    done(config, "invite", "--role", "reader", "--name", "rita")
    assert done(config, "end", "--role", "reader", "--name", "rita", "--remove") == "ended: 0 sessions\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["invite", "--role", "king"], ["--role: 'king'", "reader, owner, operator"]),
        (["invite", "--role", "owner"], ["--account"]),
        (["invite", "--role", "owner", "--account", "xyz"], ["--account: 'xyz'"]),
        (["invite", "--role", "operator", "--account", ACCOUNT], ["--account"]),
        (["invite", "--role", "operator"], ["--name: ''"]),
        (["invite", "--role", "operator", "--name", "a\nb"], ["--name"]),
        (["token", "new", "--role", "owner", "--account", ACCOUNT, "--scope", "metrics"], ["--scope", "read:private"]),
        (["token", "revoke", "12345678"], ["beginning of 0"]),
        (["end"], ["say whose"]),
        (["end", "--all", "--role", "reader"], ["say whose"]),
        (["end", "--all", "--remove"], ["name the person"]),
    ],
)
def test_a_refusal_says_what_is_wrong(config: Path, arguments: list[str], words: list[str]) -> None:
    told = failed("access", *arguments, "--config", config)
    assert all(word in told for word in words), told
    assert len(told.splitlines()) == 1
