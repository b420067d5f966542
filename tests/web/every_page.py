"""Every page for people, with a subject and who looks at it: what a browser test walks over, and the pictures of."""

from typing import NamedTuple

from coordinator.engine import places
from coordinator.kernel.access import OPERATOR, OWNER, READER
from tests.web.people import Inn


class Subject(NamedTuple):
    """`name` is that of its pictures."""

    name: str
    route: str
    path: str
    role: str
    about: str


ABOUT = {
    "network": "The network as it is now: money, devices, the newest epochs; numbers move by themselves.",
    "map": "Where devices say they are, in cells of at least three.",
    "map-cell": "One cell of the map and the devices in it.",
    "uptime": "Which device was there in which epoch.",
    "epochs": "All epochs, and what was paid each day for presence and for use.",
    "epoch": "One epoch: the sum, why devices earned less, postings, parameters.",
    "batch": "One batch: its header, roots, and where its time went.",
    "devices": "Devices, filtered by owner, standing and silence.",
    "device": "One device: what it earned, when it was there, what it measured.",
    "pay-stub": "What a device earned in an epoch, number by number, and why.",
    "statements": "The statements behind a pay stub, each with its receipt code.",
    "owner": "An owner: balance, devices, what is provisional, what was not paid.",
    "ledger": "Every posting of an owner.",
    "manage": "Transfers, key changes and revocations, signed in the browser.",
    "search": "What a search says that found nothing, and what can be searched.",
    "verify": "Check a pay stub with the browser's own cryptography.",
    "flash": "How to put the client on a board.",
    "api": "Every operation of the API.",
    "login": "Sign in with a passkey, an owner key or a link.",
    "login-link": "Behind a link that the operator made.",
    "notices-stop": "Where the link in a mail leads: no more notices.",
    "home": "An owner's own page, with what only the owner sees.",
    "account": "Passkeys, API tokens, and where to be told of what.",
    "operator": "The operator's rooms, and devices by standing.",
    "operator-ingest": "What comes in now, what is refused and why.",
    "operator-appeals": "What owners say, and who is held back.",
    "operator-case": "One device's case: history, hold back, lift, correct.",
    "operator-clusters": "Devices that came together or were away together.",
    "operator-payouts": "What each owner could be paid.",
    "operator-payout": "Mark an owner as paid, with a reference that counts once.",
    "operator-tokens": "Enrolment tokens.",
    "operator-token": "One token, as text and QR code.",
    "operator-rollouts": "Releases on their way to the boards.",
    "operator-parameters": "What the network pays by, and what changes.",
    "operator-backup": "The newest backup, and how to try it out.",
    "operator-log": "What operators did.",
}
OFFLINE = "/verify/offline.html"  # the page of /verify in one file

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
    OFFLINE,
}


def subjects(house: Inn) -> list[Subject]:
    shown = house.shown
    device = next(one for one in shown.devices.values() if one.readings_public)
    held = next((one for one in shown.devices.values() if one.standing == "quarantined"), device)
    epoch = max(one.number for one in shown.epochs if one.closed)
    mine, theirs = f"/devices/{device.device.hex()}", device.owner.hex()
    cell = places.text(places.cell_of(shown.places[next(iter(shown.devices))]))
    token = house.enrolment.tokens[0].public_key.hex()
    found = [
        ("network", "/", "/", ""),
        ("map", "/map", "/map", ""),
        ("map-cell", "/map/{cell}", f"/map/{cell}", ""),
        ("uptime", "/uptime", "/uptime", ""),
        ("epochs", "/epochs", "/epochs", ""),
        ("epoch", "/epochs/{n}", f"/epochs/{epoch}", ""),
        ("batch", "/batches/{n}", "/batches/1", ""),
        ("devices", "/devices", "/devices", ""),
        ("device", "/devices/{id}", mine, ""),
        ("pay-stub", "/devices/{id}/stubs/{n}", f"{mine}/stubs/{epoch}", ""),
        ("statements", "/devices/{id}/stubs/{n}/statements", f"{mine}/stubs/{epoch}/statements", ""),
        ("owner", "/owners/{id}", f"/owners/{theirs}", ""),
        ("ledger", "/owners/{id}/ledger", f"/owners/{theirs}/ledger", ""),
        ("manage", "/owners/{id}/manage", f"/owners/{theirs}/manage", ""),
        ("search", "/search", "/search?q=nothing+like+this", ""),
        ("verify", "/verify", "/verify", ""),
        ("flash", "/flash", "/flash", ""),
        ("api", "/api", "/api", ""),
        ("login", "/login", "/login", ""),
        ("login-link", "/login/link", f"/login/link?code={house.link(READER)}", ""),
        ("notices-stop", "/notices/stop", "/notices/stop?contact=1&code=x", ""),
        ("home", "/home", "/home", OWNER),
        ("account", "/account", "/account", OWNER),
        ("operator", "/operator", "/operator", OPERATOR),
        ("operator-ingest", "/operator/ingest", "/operator/ingest", OPERATOR),
        ("operator-appeals", "/operator/appeals", "/operator/appeals", OPERATOR),
        ("operator-case", "/operator/devices/{id}", f"/operator/devices/{held.device.hex()}", OPERATOR),
        ("operator-clusters", "/operator/clusters", "/operator/clusters", OPERATOR),
        ("operator-payouts", "/operator/payouts", "/operator/payouts", OPERATOR),
        ("operator-payout", "/operator/payouts/{id}", f"/operator/payouts/{theirs}", OPERATOR),
        ("operator-tokens", "/operator/tokens", "/operator/tokens", OPERATOR),
        ("operator-token", "/operator/tokens/{id}", f"/operator/tokens/{token}", OPERATOR),
        ("operator-rollouts", "/operator/rollouts", "/operator/rollouts", OPERATOR),
        ("operator-parameters", "/operator/parameters", "/operator/parameters", OPERATOR),
        ("operator-backup", "/operator/backup", "/operator/backup", OPERATOR),
        ("operator-log", "/operator/log", "/operator/log", OPERATOR),
    ]
    return [Subject(*each, ABOUT[each[0]]) for each in found]
