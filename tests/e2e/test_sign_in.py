"""Signing in at a real coordinator: a link from the command line, an owner's key, a token that a device can use."""

import asyncio
import json
import re
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from nacl.signing import SigningKey

from coordinator.store.schema import METADATA
from coordinator.store.token_queries import newest_tokens
from device_client.core import cose
from device_client.provisioning import load_provisioning
from tests.cli.inside import edgetally
from tests.e2e.running import Net
from tests.ingest.hand import Hand
from tests.store.driven import driven

CSRF = re.compile(r'name="csrf" value="([^"]+)"')


class Browser:
    """Cookies and forms, and nothing else of one."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookies: dict[str, str] = {}

    def __call__(self, path: str, form: dict[str, object] | None = None) -> tuple[int, str, str]:
        """(status, Location, text)."""
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        body = None
        if form is not None:
            body = urlencode({"csrf": CSRF.findall(self(self.path)[2])[0], **form})
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://127.0.0.1:{self.port}"}
        else:
            self.path = path
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("POST" if form is not None else "GET", path, body, headers)
        answer = connection.getresponse()
        for line in answer.headers.get_all("Set-Cookie", []):
            name, _, rest = line.partition("=")
            self.cookies[name] = rest.partition(";")[0]
        text = answer.read().decode()
        connection.close()
        return answer.status, answer.headers["Location"] or "", text

    def follow(self, link: str) -> None:
        there = urlsplit(link)
        assert self(f"{there.path}?{there.query}")[0] == 200
        status, _, text = self("/login/link", {"code": there.query.partition("=")[2]})
        assert status == 303, text


def test_from_a_shell_to_a_token_and_its_device(tmp_path: Path) -> None:
    asyncio.run(life(tmp_path))


async def life(tmp_path: Path) -> None:
    net = Net(tmp_path / "net")
    key, url = tmp_path / "alice.key", f"http://127.0.0.1:{net.http_port}"
    edgetally("owner", "new", key)
    alice = SigningKey(key.read_bytes())
    account = cose.signer_id(bytes(alice.verify_key))
    async with driven(net) as made:
        await made.beacons(2)

        def operator() -> str:
            browser = Browser(net.http_port)
            asked = ("--role", "operator", "--name", "o", "--config", net.config)
            browser.follow(edgetally("access", "invite", *asked).stdout.strip())
            browser("/operator/tokens")
            owner = {"owner": bytes(alice.verify_key).hex(), "devices": 2, "last_epoch": 99, "reason": "new <b>roof"}
            status, where, text = browser("/operator/tokens", owner)
            assert status == 303, text
            shown = browser(where)[2]
            assert "data:image/svg+xml;base64," in shown
            log = browser("/operator/log")[2]
            assert "token_issued" in log and "new &lt;b&gt;roof" in log and "invited" in log and "token_shown" in log
            return shown

        shown = await asyncio.to_thread(operator)
        text = shown.split('<pre class="typed" tabindex="0">')[1].split("</pre>")[0].replace("&#34;", '"')
        file = tmp_path / "given.json"
        file.write_text(text)
        given = load_provisioning(file)
        assert (given.network, given.genesis, given.port) == ("test", net.genesis.hash, net.mqtt_port)
        assert json.loads(text)["token_seed"]

        # An account is known once the token's batch is sealed; before that its key opens nothing.
        refused = await asyncio.to_thread(edgetally, "owner", "login", "--key", key, "--url", url)
        assert refused.returncode == 1 and "login_failed" in refused.stderr
        await made.beacons(3)
        await made.enrol(Hand(given))
        await made.beacons(3)

        def owner() -> None:
            answer = edgetally("owner", "login", "--key", key, "--url", url)
            assert answer.returncode == 0, answer.stderr
            browser = Browser(net.http_port)
            browser.follow(answer.stdout.strip())
            assert account.hex() in browser("/account")[2]
            assert browser("/operator/tokens")[0] == 403

        await asyncio.to_thread(owner)
        (token,) = await newest_tokens(made.service.stores, 9)
        assert (token.owner, token.devices, token.used) == (account, 2, 1)
    assert "access" not in METADATA, "no batch is applied to it, and `rebuild` leaves it alone"
