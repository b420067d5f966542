"""Every page for people, with a subject and who looks at it: what a browser test walks over, and the pictures of."""

from typing import NamedTuple

from coordinator.engine import places
from coordinator.kernel.access import OPERATOR, OWNER, READER
from tests.web.people import Inn


class Subject(NamedTuple):
    """`name` is that of its pictures."""

    route: str
    path: str
    role: str
    name: str
    about: str


# Routes that answer with something else than a page of ours.
OTHERS = {
    "/archive/batches/{number}",
    "/archive/index.json",
    "/archive/{name}",
    "/flash/{board}/manifest.json",
    "/flash/{board}/{part}",
    "/livez",
    "/log/{name}",
    "/login/challenge",
    "/metrics",
    "/operator/payouts.csv",
    "/readyz",
    "/static/{name}",
    "/verify/offline.html",  # the page of /verify in one file
}


def subjects(house: Inn) -> list[Subject]:
    shown = house.shown
    device = next(one for one in shown.devices.values() if one.readings_public)
    held = next((one for one in shown.devices.values() if one.standing == "quarantined"), device)
    epoch = max(one.number for one in shown.epochs if one.closed)
    mine, theirs = f"/devices/{device.device.hex()}", device.owner.hex()
    cell = places.text(places.cell_of(shown.places[next(iter(shown.devices))]))
    token = house.enrolment.tokens[0].public_key.hex()
    return [
        Subject("/", "/", "", "network", "The network as it is now: money, devices, the newest epochs; numbers move by themselves."),
        Subject("/map", "/map", "", "map", "Where devices say they are, in cells of at least three."),
        Subject("/map/{cell}", f"/map/{cell}", "", "map-cell", "One cell of the map and the devices in it."),
        Subject("/uptime", "/uptime", "", "uptime", "Which device was there in which epoch."),
        Subject("/epochs", "/epochs", "", "epochs", "All epochs, and what was paid each day for presence and for use."),
        Subject("/epochs/{n}", f"/epochs/{epoch}", "", "epoch", "One epoch: the sum, why devices earned less, postings, parameters."),
        Subject("/batches/{n}", "/batches/1", "", "batch", "One batch: its header, roots, and where its time went."),
        Subject("/devices", "/devices", "", "devices", "Devices, filtered by owner, standing and silence."),
        Subject("/devices/{id}", mine, "", "device", "One device: what it earned, when it was there, what it measured."),
        Subject("/devices/{id}/stubs/{n}", f"{mine}/stubs/{epoch}", "", "pay-stub", "What a device earned in an epoch, number by number, and why."),
        Subject(
            "/devices/{id}/stubs/{n}/statements", f"{mine}/stubs/{epoch}/statements", "", "statements",
            "The statements behind a pay stub, each with its receipt code.",
        ),
        Subject("/owners/{id}", f"/owners/{theirs}", "", "owner", "An owner: balance, devices, what is provisional, what was not paid."),
        Subject("/owners/{id}/ledger", f"/owners/{theirs}/ledger", "", "ledger", "Every posting of an owner."),
        Subject("/owners/{id}/manage", f"/owners/{theirs}/manage", "", "manage", "Transfers, key changes and revocations, signed in the browser."),
        Subject("/search", "/search?q=nothing+like+this", "", "search", "What a search says that found nothing, and what can be searched."),
        Subject("/verify", "/verify", "", "verify", "Check a pay stub with the browser's own cryptography."),
        Subject("/flash", "/flash", "", "flash", "How to put the client on a board."),
        Subject("/api", "/api", "", "api", "Every operation of the API."),
        Subject("/login", "/login", "", "login", "Sign in with a passkey, an owner key or a link."),
        Subject("/login/link", f"/login/link?code={house.link(READER)}", "", "login-link", "Behind a link that the operator made."),
        Subject("/notices/stop", "/notices/stop?contact=1&code=x", "", "notices-stop", "Where the link in a mail leads: no more notices."),
        Subject("/home", "/home", OWNER, "home", "An owner's own page, with what only the owner sees."),
        Subject("/account", "/account", OWNER, "account", "Passkeys, API tokens, and where to be told of what."),
        Subject("/operator", "/operator", OPERATOR, "operator", "The operator's rooms, and devices by standing."),
        Subject("/operator/ingest", "/operator/ingest", OPERATOR, "operator-ingest", "What comes in now, what is refused and why."),
        Subject("/operator/appeals", "/operator/appeals", OPERATOR, "operator-appeals", "What owners say, and who is held back."),
        Subject(
            "/operator/devices/{id}", f"/operator/devices/{held.device.hex()}", OPERATOR, "operator-case",
            "One device's case: history, hold back, lift, correct.",
        ),
        Subject("/operator/payouts", "/operator/payouts", OPERATOR, "operator-payouts", "What each owner could be paid."),
        Subject(
            "/operator/payouts/{id}", f"/operator/payouts/{theirs}", OPERATOR, "operator-payout",
            "Mark an owner as paid, with a reference that counts once.",
        ),
        Subject("/operator/tokens", "/operator/tokens", OPERATOR, "operator-tokens", "Enrolment tokens."),
        Subject("/operator/tokens/{id}", f"/operator/tokens/{token}", OPERATOR, "operator-token", "One token, as text and QR code."),
        Subject("/operator/rollouts", "/operator/rollouts", OPERATOR, "operator-rollouts", "Releases on their way to the boards."),
        Subject("/operator/parameters", "/operator/parameters", OPERATOR, "operator-parameters", "What the network pays by, and what changes."),
        Subject("/operator/backup", "/operator/backup", OPERATOR, "operator-backup", "The newest backup, and how to try it out."),
        Subject("/operator/log", "/operator/log", OPERATOR, "operator-log", "What operators did."),
    ]  # fmt: skip
