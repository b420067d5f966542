"""Signing in and out: links, sessions, tokens, forms from elsewhere, names from elsewhere, and too many attempts."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from coordinator.kernel.access import METRICS, OPERATOR, OPERATOR_READ, OWNER, READER
from coordinator.web.attempts import Attempts
from coordinator.web.hosts import Place
from coordinator.web.problems import Problem
from tests.web.people import FORM, Guest, Inn, inn
from tests.web.serving import Answer

ALICE = bytes(range(16))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inn]:
    with inn(tmp_path_factory.mktemp("inn")) as made:
        yield made


def code_of(answer: Answer) -> str:
    assert answer.type == "application/problem+json", answer.text[:200]
    return str(answer.json["code"])


# LINKS


def test_a_link_signs_in_once(house: Inn) -> None:
    code = house.link(OPERATOR, name="olga")
    guest = Guest(house.client)
    assert guest.page(f"/login/link?code={code}").status == 200
    answer = guest.post("/login/link", code=code)
    assert (answer.status, answer.headers["Location"]) == (303, "/account?welcome=1")
    (line,) = [one for one in answer.headers.get_all("Set-Cookie") if one.startswith("edgetally=")]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(line.split("; ")) and "Secure" not in line
    assert "olga" in guest.page("/account").text
    again = Guest(house.client)
    assert again.post("/login/link", code=code).status == 403
    assert again("GET", "/account").status == 401


def test_looking_at_a_link_does_not_use_it_up(house: Inn) -> None:
    code, guest = house.link(READER), Guest(house.client)
    for _ in range(3):
        assert guest.page(f"/login/link?code={code}").status == 200
    assert guest.post("/login/link", code=code).status == 303


def test_a_link_is_over_after_its_time(house: Inn) -> None:
    code, guest = house.link(READER, life_s=900), Guest(house.client)
    house.clock.now += 900
    assert guest.post("/login/link", code=code).status == 403


# SESSIONS


def test_the_session_of_before_is_not_the_one_of_after(house: Inn) -> None:
    """Fixation: what an attacker put into the browser is worth nothing once its owner has signed in."""
    guest = Guest(house.client)
    guest.cookies["edgetally"] = "A" * 43
    guest.field()
    visit = guest.cookies["edgetally-visit"]
    assert guest.post("/login/link", code=house.link(READER)).status == 303
    first = guest.cookies["edgetally"]
    assert first != "A" * 43 and "edgetally-visit" not in guest.cookies
    assert guest.post("/login/link", code=house.link(READER)).status == 303
    assert guest.cookies["edgetally"] not in (first, visit)
    guest.cookies["edgetally"] = first
    assert guest("GET", "/account").status == 401


def test_a_session_ends_when_it_idles_and_an_operators_sooner(house: Inn) -> None:
    owner, operator = house.session(OWNER, ALICE), house.session(OPERATOR)
    house.clock.now += 3600
    assert (owner("GET", "/account").status, operator("GET", "/account").status) == (200, 401)
    house.clock.now += 12 * 3600
    assert owner("GET", "/account").status == 401


def test_a_session_that_is_used_goes_on_and_ends_after_thirty_days(house: Inn) -> None:
    owner = house.session(OWNER, ALICE)
    for _ in range(89):
        house.clock.now += 8 * 3600
        assert owner("GET", "/account").status == 200
    house.clock.now += 8 * 3600
    assert owner("GET", "/account").status == 401


def test_signing_out_ends_it_on_the_server(house: Inn) -> None:
    guest = house.session(OWNER, ALICE)
    held = guest.cookies["edgetally"]
    assert guest.post("/logout", "/account").status == 303
    assert "edgetally" not in guest.cookies
    guest.cookies["edgetally"] = held
    assert guest("GET", "/account").status == 401


def test_all_sessions_of_one_can_be_ended_and_not_those_of_another(house: Inn) -> None:
    mine, also_mine, other = house.session(OWNER, ALICE), house.session(OWNER, ALICE), house.session(OWNER, b"b" * 16)
    session = house.ask(lambda store: store.session(other.cookies["edgetally"], house.clock.now))
    assert session is not None
    assert mine.post("/account/sessions/end", "/account", session=session.id.hex()).status == 303
    assert other("GET", "/account").status == 200
    assert mine.post("/account/sessions/end", "/account", session="all").status == 303
    assert [one("GET", "/account").status for one in (mine, also_mine, other)] == [401, 401, 200]


@pytest.mark.parametrize("cookie", ["", "A" * 43, "A" * 44, "ä", "'; DROP TABLE sessions--", "x" * 5000, "=" * 43])
def test_a_forged_cookie_makes_nobody_of_a_visitor(house: Inn, cookie: str) -> None:
    headers = {"Cookie": f"edgetally={cookie}".encode().decode("latin-1")}
    assert house.client("GET", "/account", **headers).status == 401
    assert house.client("GET", "/", **headers).status == 200


# TOKENS


def test_a_token_is_made_shown_once_and_revoked(house: Inn) -> None:
    guest = house.session(OPERATOR, name="tom")
    answer = guest.post("/account/tokens", "/account", name="graphs", scope=[OPERATOR_READ, METRICS], days=2)
    secret = answer.text.split("data-made>")[1].split("<")[0]
    assert answer.status == 200 and secret.startswith("et_") and secret not in guest.page("/account").text
    bearer = {"Authorization": f"Bearer {secret}"}
    assert house.client("GET", "/operator/log", **bearer).status == 200
    (held,) = [one for one in house.ask(lambda store: store.tokens(None)) if one.name == "graphs"]
    other = house.session(OPERATOR, name="another")
    other.post("/account/tokens/revoke", "/account", token=held.id.hex())
    assert house.client("GET", "/operator/log", **bearer).status == 200
    guest.post("/account/tokens/revoke", "/account", token=held.id.hex())
    assert code_of(house.client("GET", "/operator/log", **bearer)) == "bad_token"


def test_a_token_has_only_its_scopes(house: Inn) -> None:
    script = house.token(OPERATOR, scopes=[METRICS])
    assert code_of(script("GET", "/operator/log")) == "not_allowed"
    assert script("GET", "/api/v1/network").status == 200


def test_nobody_makes_a_token_that_may_more_than_its_maker(house: Inn) -> None:
    guest = house.session(READER)
    assert guest.post("/account/tokens", "/account", name="x", scope="operator:write", days=1).status == 400


def test_a_token_opens_no_page_of_the_account(house: Inn) -> None:
    assert house.token(OWNER, ALICE)("GET", "/account").status == 401


def test_a_token_that_is_over_is_refused_also_where_all_is_public(house: Inn) -> None:
    script = house.token(OWNER, ALICE, days=1)
    house.clock.now += 86_400
    answer = script("GET", "/api/v1/network")
    assert code_of(answer) == "bad_token" and "invalid_token" in answer.headers["WWW-Authenticate"]


def test_guessing_tokens_takes_longer_and_longer(house: Inn) -> None:
    house.clock.now += 1000
    for _ in range(5):
        assert code_of(house.client("GET", "/", Authorization="Bearer et_" + "A" * 43)) == "bad_token"
    answer = house.client("GET", "/", Authorization="Bearer et_" + "A" * 43)
    assert code_of(answer) == "too_many_attempts" and int(answer.headers["Retry-After"]) >= 1
    assert house.client("GET", "/").status == 200
    good = house.token(OPERATOR)
    assert good("GET", "/operator/log").status == 200, "whoever holds one does not wait for others"
    # Behind a proxy of ours each client counts for itself.
    other = house.client("GET", "/", Authorization="Bearer et_" + "A" * 43, X_Forwarded_For="9.9.9.9, 8.8.8.8")
    assert code_of(other) == "bad_token"
    house.clock.now += 1000


def test_attempts_are_bounded_and_forgotten() -> None:
    counted = Attempts(keys_max=8)
    for number in range(100):
        counted.failed(0, f"address {number}", "alice")
        assert len(counted) <= 8
    with pytest.raises(Problem) as refused:
        counted.check(14, "elsewhere", "alice")
    assert refused.value.code == "too_many_attempts"
    counted.check(15, "elsewhere", "alice")  # nobody can keep an owner out for longer
    counted.check(0, "address 1", "bob")


# FORMS FROM ELSEWHERE


@pytest.mark.parametrize("field", [None, "", "AAAA", "A" * 88])
def test_a_form_without_our_field_is_refused(house: Inn, field: str | None) -> None:
    guest = house.session(OPERATOR)
    body = urlencode({"session": "all"} | ({} if field is None else {"csrf": field})).encode()
    headers = {"Content_Type": FORM, "Origin": house.client.url}
    assert code_of(guest("POST", "/account/sessions/end", body, **headers)) == "bad_csrf"
    assert guest("GET", "/account").status == 200


def test_the_field_of_one_is_worth_nothing_to_another(house: Inn) -> None:
    mine, other = house.session(OPERATOR), house.session(OPERATOR, name="other")
    body = urlencode({"session": "all", "csrf": other.field("/account")}).encode()
    answer = mine("POST", "/account/sessions/end", body, Content_Type=FORM, Origin=house.client.url)
    assert code_of(answer) == "bad_csrf"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_a_form_from_elsewhere_is_refused(house: Inn, headers: dict[str, str]) -> None:
    guest = house.session(OPERATOR)
    body = urlencode({"session": "all", "csrf": guest.field("/account")}).encode()
    assert code_of(guest("POST", "/account/sessions/end", body, Content_Type=FORM, **headers)) == "wrong_origin"
    # Also without a session: nobody is signed in as somebody else by a page elsewhere.
    code = house.link(READER)
    body = urlencode({"code": code}).encode()
    assert code_of(house.client("POST", "/login/link", body, Content_Type=FORM, **headers)) == "wrong_origin"


@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", "application/json"])
def test_other_bodies_do_not_get_around_the_field(house: Inn, kind: str) -> None:
    guest = house.session(OPERATOR)
    answer = guest("POST", "/account/sessions/end", b"session=all", Content_Type=kind, Origin=house.client.url)
    assert answer.status >= 400
    assert guest("GET", "/account").status == 200


# NAMES


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "localhost:x", "x" * 300]
)
def test_another_name_is_not_answered_to(house: Inn, host: str) -> None:
    answer = house.client("GET", "/api/v1/network", Host=host)
    assert (answer.status, code_of(answer)) == (421, "wrong_host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1", "[::1]:8080", "localhost."])
def test_our_names_are(house: Inn, host: str) -> None:
    assert house.client("GET", "/api/v1/network", Host=host).status == 200


def test_nothing_that_a_visitor_sends_gets_into_a_header(house: Inn) -> None:
    guest = house.session(OPERATOR)
    for target in ("/login?next=/a%0d%0aSet-Cookie:%20x=y", "/login/link?code=%0d%0aX:%20y"):
        answer = guest("GET", target)
        assert answer.status == 400 and "X" not in answer.headers and "x=y" not in str(answer.headers)
    answer = guest.post("/account/tokens", "/account", name="a\r\nX: y", scope=METRICS, days=1)
    assert answer.status == 400
    contact = house.session(OWNER, ALICE)
    for address in ("a@b.example\r\nBcc: c@d.example", "a@b.example, c@d.example", "javascript:x", "https://u:p@h/"):
        assert contact.post("/account/contacts", "/account", address=address, event="silent").status == 400


@pytest.mark.parametrize("wanted", ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "/\tx"])
def test_after_signing_in_nobody_is_led_away(house: Inn, wanted: str) -> None:
    page = Guest(house.client).page("/login?" + urlencode({"next": wanted}))
    assert page.status == 400 or 'name="next" value=""' in page.text


def test_on_tls_cookies_are_bound_to_it(tmp_path: Path) -> None:
    place = Place("https://tally.example", frozenset({"127.0.0.1", "tally.example"}))
    with inn(tmp_path, place) as made:
        answer = made.client("GET", "/login", Accept="text/html")
        (line,) = answer.headers.get_all("Set-Cookie")
        assert line.startswith("__Host-edgetally-visit=") and {"Secure", "Path=/"} <= set(line.split("; "))
        assert "Domain" not in line
        page = Guest(made.client)
        body = urlencode({"code": made.link(READER), "csrf": page.field()}).encode()
        answer = page("POST", "/login/link", body, Content_Type=FORM, Origin="https://tally.example")
        assert answer.status == 303 and "__Host-edgetally" in page.cookies


def test_a_redirection_has_an_end(house: Inn) -> None:
    """Without a length whoever keeps the connection would wait for more."""
    answer = house.session(OWNER, ALICE).post("/account/passkeys/remove", "/account", credential="00")
    assert answer.status == 303 and int(answer.headers["Content-Length"]) == len(answer.body)
    odd = house.client("GET", "/", Expect="a-miracle")
    assert (
        odd.status == 417 and int(odd.headers["Content-Length"]) == len(odd.body) and odd.json["code"] == "expectation"
    )


def test_what_a_person_sees_is_for_no_cache(house: Inn) -> None:
    guest = house.session(OWNER, ALICE)
    assert guest("GET", "/").headers["Cache-Control"] == "no-store"
    assert "Cookie" in house.client("GET", "/").headers.get_all("Vary", [])


def test_contacts_are_kept_for_owners(house: Inn) -> None:
    guest = house.session(OWNER, ALICE)
    for address in ("alice@b.example", "https://hooks.example/x?y=1"):
        assert guest.post("/account/contacts", "/account", address=address, event=["silent", "paid"]).status == 303
    page = guest.page("/account").text
    assert "alice@b.example" in page and "webhook: paid, silent" in page
    assert (
        house.session(OPERATOR).post("/account/contacts", "/account", address="a@b.example", event="paid").status == 403
    )
