"""The client of the API against a real coordinator: the same values, all pages, refusals by their codes."""

import http.server
import threading
from typing import Any

import pytest

from device_client.api import Client, ProblemError
from tests.docs.transcript import blocks
from tests.parts import ROOT
from tests.web.money import Money


def test_what_it_answers_is_what_the_network_has(world: Money) -> None:
    client, ann = Client(world.http.url), world.owner["ann"].hex()
    assert client.network()["devices"] == len(world.hands)
    assert {one["device"] for one in client.devices()} == {hand.id.hex() for hand in world.hands.values()}
    assert client.owner(ann)["balance"] == client.earnings(ann)["balance"]
    epochs = [one for one in client.epochs() if one["closed"]]
    assert [client.epoch(one["number"]) for one in epochs] == epochs and len(epochs) >= 6
    for one in epochs:
        assert sum(row["paid"] for row in client.epoch_payouts(one["number"])) == one["paid"]
    assert list(client.rewards(ann)) and list(client.postings(ann))
    device = world.id("ann1").hex()
    assert client.device(device)["device"] == client.stub(device, 1)["device"] == client.explain(device, 1)["device"]
    assert list(client.readings(device))


def test_a_list_goes_on_behind_its_first_page(world: Money) -> None:
    client = Client(world.http.url)
    whole = list(client.devices())
    assert list(client.pages("/devices", "devices", limit=2)) == whole and len(whole) > 2


def test_a_refusal_has_its_code(world: Money) -> None:
    client = Client(world.http.url)
    for asked, status, code in (
        ("0" * 32, 404, "unknown_device"),
        ("../owners", 400, "bad_id"),
        ("\x00", 400, "bad_id"),
    ):
        with pytest.raises(ProblemError) as refused:
            client.device(asked)
        assert (refused.value.status, refused.value.code) == (status, code) and refused.value.detail
    with pytest.raises(ProblemError, match="401 bad_token"):
        Client(world.http.url, token="et_wrong").network()
    with pytest.raises(ValueError, match="http"):
        Client("file:///etc/passwd")


class _Busy(http.server.BaseHTTPRequestHandler):
    """Says 503 so often, then answers."""

    left = 0

    def do_GET(self) -> None:
        busy = type(self).left > 0
        type(self).left -= 1
        body = b'{"code": "overloaded", "detail": "Too busy."}' if busy else b'{"name": "harbour"}'
        self.send_response(503 if busy else 200)
        self.send_header("Retry-After", "7")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


def test_it_waits_as_long_as_it_is_told_and_not_for_ever() -> None:
    waited: list[float] = []
    with http.server.HTTPServer(("127.0.0.1", 0), _Busy) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            client = Client(f"http://127.0.0.1:{server.server_port}", sleep=waited.append)
            _Busy.left = 2
            assert client.network() == {"name": "harbour"} and waited == [7, 7]
            _Busy.left = 99
            with pytest.raises(ProblemError, match="overloaded"):
                client.network()
            assert len(waited) == 5
        finally:
            server.shutdown()
            thread.join()


def test_the_examples_of_the_guide_run(world: Money, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs/guides/api-client.md").read_text()
    (example,) = blocks(text, "python")
    exec(example.replace("http://127.0.0.1:8080", world.http.url), {})
    told = capsys.readouterr().out
    assert all(hand.id.hex() in told for hand in world.hands.values()) and "404 unknown_device" in told
