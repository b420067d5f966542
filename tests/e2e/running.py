"""Real networks for tests: one on disk, coordinators and devices as processes that are ended by their id."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nacl.signing

from coordinator.engine.audit import Auditor, Report
from coordinator.engine.beacons import unframed
from coordinator.found import Token, found_network, issue_token
from coordinator.settings import BrokerSettings, HttpSettings, LimitSettings, Settings
from coordinator.store.folders import FolderArchive
from coordinator.store.home import Home
from device_client.provisioning import Provisioning
from tests.parts import ROOT, free_port

# Short in time, long in what is accepted: a busy machine must not make an honest device late.
FAST = {
    "beacon_interval_s": 1,
    "epoch_beacons": 8,
    "deadline_beacons": 4,
    "late_beacons_max": 60,
    "reward_vetting_epochs": 1,
    "reward_owner_cap_ppm": 1_000_000,
}
PATIENCE_S = 30.0
CLI = (sys.executable, "-m", "coordinator.cli")
TOML = """\
data_dir = "data"
[broker]
kind = "{kind}"
port = {mqtt_port}
[http]
port = {http_port}
own_process = {own}
[limits]
statements_per_slot_max = {quota}
"""


def until(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """The first true value of `condition`, asked again and again up to a deadline."""
    deadline = time.monotonic() + patience_s
    while True:
        if found := condition():
            return found
        assert time.monotonic() < deadline, f"waited {patience_s:g} s for {what}"
        time.sleep(0.02)


def edgetally(*arguments: object, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    command = [*CLI, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT, **options)


class Net:
    """A founded network with its settings file; nothing runs yet."""

    def __init__(
        self,
        folder: Path,
        values: Mapping[str, object] | None = None,
        quota: int = 128,
        kind: Any = "embedded",
        web_apart: bool = False,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.home = Home(folder / "data")
        self.genesis = found_network(self.home, folder / "root.key", "test", {**FAST, **(values or {})}, os.urandom)
        self.mqtt_port, self.http_port, self.quota = free_port(), free_port(), quota
        self.kind = kind
        self.config = folder / "network.toml"
        self.web_apart = web_apart
        ports = {"mqtt_port": self.mqtt_port, "http_port": self.http_port}
        self.config.write_text(TOML.format(kind=kind, quota=quota, own=str(web_apart).lower(), **ports))

    @property
    def settings(self) -> Settings:
        """The same as the file says, for a coordinator inside the test."""
        limits = LimitSettings(statements_per_slot_max=self.quota)
        broker = BrokerSettings(kind=self.kind, port=self.mqtt_port)
        http = HttpSettings(port=self.http_port, own_process=self.web_apart)
        return Settings(data_dir="data", broker=broker, http=http, limits=limits)

    def token(self, devices: int = 100, owner: bytes | None = None) -> Token:
        key = nacl.signing.SigningKey(owner) if owner else nacl.signing.SigningKey.generate()
        return issue_token(self.home, self.genesis, bytes(key.verify_key), devices, 10**6, os.urandom)

    def given(self, token: Token) -> Provisioning:
        calendar = self.genesis.parameters.calendar
        name, root_key = self.genesis.name, self.genesis.root_key
        return Provisioning(name, self.genesis.hash, root_key, token.seed, "127.0.0.1", self.mqtt_port, *calendar[:4])

    def beacon(self) -> bytes:
        """The newest beacon, as it was sent."""
        return unframed(self.home.beacons.read_bytes())[0][-1]

    def audit(self) -> Report:
        """Raises Wrong."""
        return Auditor(FolderArchive(self.home.root)).run(self.genesis.hash)

    # HTTP

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/api/v1/{path}", timeout=10) as answer:
            return json.load(answer)

    def post(self, body: bytes, content_type: str = "application/cbor") -> tuple[int, str, dict[str, Any]]:
        """(status, content type, document) of a statement handed in by HTTP."""
        url = f"http://127.0.0.1:{self.http_port}/api/v1/statements"
        request = urllib.request.Request(url, body, {"Content-Type": content_type})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.headers.get_content_type(), json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers.get_content_type(), json.load(error)

    def refusals(self) -> dict[str, int]:
        return self.get("network")["refusals"]


class Process:
    """A command that runs beside the test; it is killed at the end of the `with` block if it still lives."""

    def __init__(
        self,
        arguments: list[object],
        folder: Path,
        preexec: Callable[[], None] | None = None,
        environment: Mapping[str, str] | None = None,
        program: tuple[str, ...] = CLI,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.stdout, self.stderr = folder / "stdout", folder / "stderr"
        with self.stdout.open("ab") as out, self.stderr.open("ab") as err:
            command = [*program, *map(str, arguments)]
            env = {**os.environ, **(environment or {})}
            self.process = subprocess.Popen(command, stdout=out, stderr=err, cwd=ROOT, preexec_fn=preexec, env=env)

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()

    def kill(self) -> None:
        """As a power cut would end it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)

    def stop(self) -> int:
        """As Ctrl-C would end it; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_S)

    def wait(self) -> int:
        return self.process.wait(PATIENCE_S)

    @property
    def errors(self) -> str:
        return self.stderr.read_text()

    def status(self) -> dict[str, Any]:
        """The last JSON line of a device; empty before the first."""
        lines = [line for line in self.stdout.read_text().splitlines() if line.endswith("}")]
        return json.loads(lines[-1]) if lines else {}


def coordinator(
    net: Net,
    preexec: Callable[[], None] | None = None,
    program: tuple[str, ...] = CLI,
    options: tuple[object, ...] = (),
) -> Process:
    """`edgetally up`, answering."""
    process = Process(["up", "--config", net.config, *options], net.folder / "up", preexec, program=program)

    def answers() -> bool:
        assert process.process.poll() is None, process.errors
        try:
            return net.get("network")["beacon"] >= 0
        except OSError:
            return False

    until(answers, "the coordinator to answer")
    return process


def device(net: Net, folder: Path, token: Token | None = None, interval_s: int = 1) -> Process:
    """`edgetally device run` on this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    provisioning = folder / "provisioning.json"
    if not provisioning.exists():
        provisioning.write_text(net.given(token or net.token()).to_json())
    arguments = ["device", "run", provisioning, "--state", folder / "state", "--interval", interval_s, "--json"]
    return Process(arguments, folder)
