"""What owners and the operator say: one good message of each kind, and everything that must be refused."""

import hashlib
from typing import Any

from coordinator.kernel import owner_messages as kinds
from device_client import owner_signing
from device_client.core import cbor, cose
from device_client.core.statement import I64_MAX
from device_client.owner_signing import ACCOUNT_KEY, countersigned
from tests.vectors.parts import GENESIS, OTHER_GENESIS, as_json, envelope, key, malleated, public, sign

OPERATOR, ALICE, STRANGER = "coordinator", "alice", "stranger"
ACCOUNT = cose.signer_id(public(ALICE))
BOB = cose.signer_id(public("bob"))
DEVICE, BOARD = cose.signer_id(public("device 0")), cose.signer_id(public("device 1"))
REFERENCE = hashlib.sha256(b"transfer 2026-11 no. 17").digest()
SMALL_ORDER = bytes([1]) + bytes(31)


def account_key(new: str) -> list[object]:
    return owner_signing.account_key_body(key(new), GENESIS, ACCOUNT)


def rotate(new: str) -> list[object]:
    return owner_signing.rotate_body(key(new), GENESIS, DEVICE)


def said(signer: str, *payload: object) -> bytes:
    return envelope(signer, cose.TYPE_OWNER, cbor.encode(list(payload)))


def valid() -> list[tuple[str, str, int, int, list[object], bool]]:
    units = [["Cel", -60_000, 130_000, 20_000, 60]]
    return [
        ("token", OPERATOR, kinds.TOKEN, 1, [public("token"), public(ALICE), 10, 99], False),
        ("key", ALICE, kinds.KEY, 2, account_key("alice again"), False),
        ("transfer", ALICE, kinds.TRANSFER, 3, [BOB, 1_500_000_000], False),
        ("transfer of everything", ALICE, kinds.TRANSFER, I64_MAX, [BOB, I64_MAX], False),
        ("transfer to oneself", ALICE, kinds.TRANSFER, 4, [ACCOUNT, 1], False),
        ("first message of a stranger, which brings its key", STRANGER, kinds.TRANSFER, 1, [BOB, 1], True),
        ("a key that is known already is brought again", ALICE, kinds.TRANSFER, 5, [BOB, 1], True),
        ("device transfer", ALICE, kinds.DEVICE_TRANSFER, 6, [DEVICE, BOB], False),
        ("rotate", ALICE, kinds.ROTATE, 7, rotate("device 0 again"), False),
        ("revoke", ALICE, kinds.REVOKE, 8, [DEVICE], False),
        ("replace", ALICE, kinds.REPLACE, 9, [DEVICE, BOARD], False),
        ("parameter", OPERATOR, kinds.PARAMETER, 2, ["reward_budget", 7], False),
        ("parameter of units", OPERATOR, kinds.PARAMETER, 3, ["sensing_units", units], False),
        ("quarantine", OPERATOR, kinds.QUARANTINE, 6, [DEVICE, 1, REFERENCE, 17], False),
        ("lift", OPERATOR, kinds.LIFT, 7, [DEVICE, 4, REFERENCE], False),
        ("appeal", ALICE, kinds.APPEAL, 11, [DEVICE, REFERENCE], False),
        ("readings private", ALICE, kinds.READINGS, 12, [DEVICE, 0], False),
        ("readings public", ALICE, kinds.READINGS, 13, [DEVICE, 1], False),
        ("correct", OPERATOR, kinds.CORRECT, 4, [ACCOUNT, DEVICE, 17, 1_500_000_000, 1], False),
        ("settle", OPERATOR, kinds.SETTLE, 5, [ACCOUNT, 2_000_000_000, REFERENCE], False),
        ("settle, said by an owner", ALICE, kinds.SETTLE, 10, [BOB, I64_MAX, REFERENCE], False),
    ]


def refused() -> list[tuple[str, bytes, str]]:
    good = [kinds.TRANSFER, 3, [BOB, 5]]
    sound = said(ALICE, *good)
    weak = [SMALL_ORDER, sign(ALICE, countersigned(ACCOUNT_KEY, GENESIS, ACCOUNT, SMALL_ORDER))]
    of_other = owner_signing.rotate_body(key("device 0 again"), OTHER_GENESIS, DEVICE)
    return [
        ("two items", said(ALICE, *good[:2]), "malformed"),
        ("five items", said(ALICE, *good, public(ALICE), 0), "malformed"),
        ("kind of 9 bits", said(ALICE, 256, *good[1:]), "malformed"),
        ("nonce 0", said(ALICE, kinds.TRANSFER, 0, [BOB, 5]), "malformed"),
        ("nonce of 64 bits", said(ALICE, kinds.TRANSFER, 2**63, [BOB, 5]), "malformed"),
        ("body is a byte string", said(ALICE, kinds.TRANSFER, 3, b""), "malformed"),
        ("key of 31 bytes brought", said(STRANGER, *good, public(STRANGER)[:31]), "malformed"),
        ("trailing byte", sound + b"\x00", "malformed"),
        ("a certificate", said(ALICE, 1, 3, [1, public(ALICE), 0]), "unsupported_kind"),
        ("kind of the future", said(ALICE, 200, 3, []), "unsupported_kind"),
        ("signed as a statement", envelope(ALICE, cose.TYPE_STATEMENT, cbor.encode(good)), "bad_signature"),
        ("of another network", envelope(ALICE, cose.TYPE_OWNER, cbor.encode(good), OTHER_GENESIS), "bad_signature"),
        ("signature malleated", malleated(sound), "bad_signature"),
        ("signature of another", sound[:-64] + said("bob", *good)[-64:], "bad_signature"),
        ("unknown account", said(STRANGER, *good), "unknown_account"),
        ("key of another brought", said(STRANGER, *good, public("bob")), "bad_signature"),
        ("amount 0", said(ALICE, kinds.TRANSFER, 3, [BOB, 0]), "bad_body"),
        ("amount below 0", said(ALICE, kinds.TRANSFER, 3, [BOB, -1]), "bad_body"),
        ("amount of 64 bits", said(ALICE, kinds.TRANSFER, 3, [BOB, 2**63]), "bad_body"),
        ("amount is text", said(ALICE, kinds.TRANSFER, 3, [BOB, "5"]), "bad_body"),
        ("account of 15 bytes", said(ALICE, kinds.TRANSFER, 3, [BOB[:15], 5]), "bad_body"),
        ("a third item", said(ALICE, kinds.TRANSFER, 3, [BOB, 5, 0]), "bad_body"),
        ("no new owner", said(ALICE, kinds.DEVICE_TRANSFER, 3, [DEVICE]), "bad_body"),
        ("revokes nothing", said(ALICE, kinds.REVOKE, 3, []), "bad_body"),
        ("replaces itself", said(ALICE, kinds.REPLACE, 3, [DEVICE, DEVICE]), "bad_body"),
        ("parameter without value", said(OPERATOR, kinds.PARAMETER, 3, ["reward_budget"]), "bad_body"),
        ("parameter is text", said(OPERATOR, kinds.PARAMETER, 3, ["reward_budget", "7"]), "bad_body"),
        ("units of four", said(OPERATOR, kinds.PARAMETER, 3, ["sensing_units", [["Cel", 0, 1, 0]]]), "bad_body"),
        ("quarantine for a fork", said(OPERATOR, kinds.QUARANTINE, 3, [DEVICE, 0, REFERENCE, 17]), "bad_body"),
        ("quarantine for no known reason", said(OPERATOR, kinds.QUARANTINE, 3, [DEVICE, 6, REFERENCE, 17]), "bad_body"),
        ("quarantine without an end", said(OPERATOR, kinds.QUARANTINE, 3, [DEVICE, 1, REFERENCE]), "bad_body"),
        ("quarantine for ever", said(OPERATOR, kinds.QUARANTINE, 3, [DEVICE, 1, REFERENCE, 2**63]), "bad_body"),
        ("quarantine without evidence", said(OPERATOR, kinds.QUARANTINE, 3, [DEVICE, 1, b"", 17]), "bad_body"),
        ("lift because it expired", said(OPERATOR, kinds.LIFT, 3, [DEVICE, 0, REFERENCE]), "bad_body"),
        ("lift for no known reason", said(OPERATOR, kinds.LIFT, 3, [DEVICE, 5, REFERENCE]), "bad_body"),
        ("appeal in words", said(ALICE, kinds.APPEAL, 3, [DEVICE, "it is not copied"]), "bad_body"),
        ("appeal without a text", said(ALICE, kinds.APPEAL, 3, [DEVICE]), "bad_body"),
        ("readings 2", said(ALICE, kinds.READINGS, 3, [DEVICE, 2]), "bad_body"),
        ("readings of no device", said(ALICE, kinds.READINGS, 3, [1]), "bad_body"),
        ("correct with amount 0", said(OPERATOR, kinds.CORRECT, 3, [ACCOUNT, DEVICE, 17, 0, 1]), "bad_body"),
        ("correct for reason 0", said(OPERATOR, kinds.CORRECT, 3, [ACCOUNT, DEVICE, 17, 1, 0]), "bad_body"),
        ("correct for no known reason", said(OPERATOR, kinds.CORRECT, 3, [ACCOUNT, DEVICE, 17, 1, 255]), "bad_body"),
        ("correct of epoch -1", said(OPERATOR, kinds.CORRECT, 3, [ACCOUNT, DEVICE, -1, 1, 1]), "bad_body"),
        (
            "correct of an epoch of 64 bits",
            said(OPERATOR, kinds.CORRECT, 3, [ACCOUNT, DEVICE, 2**63, 1, 1]),
            "bad_body",
        ),
        ("correct without a reason", said(OPERATOR, kinds.CORRECT, 3, [ACCOUNT, DEVICE, 17, 1]), "bad_body"),
        ("settle of text", said(OPERATOR, kinds.SETTLE, 3, [ACCOUNT, "1", REFERENCE]), "bad_body"),
        ("settle of amount 0", said(OPERATOR, kinds.SETTLE, 3, [ACCOUNT, 0, REFERENCE]), "bad_body"),
        (
            "settle with a reference of 31 bytes",
            said(OPERATOR, kinds.SETTLE, 3, [ACCOUNT, 1, REFERENCE[:31]]),
            "bad_body",
        ),
        ("settle without a reference", said(OPERATOR, kinds.SETTLE, 3, [ACCOUNT, 1]), "bad_body"),
        ("token for no device", said(OPERATOR, kinds.TOKEN, 3, [public("t"), public(ALICE), 0, 9]), "bad_body"),
        ("new account key of small order", said(ALICE, kinds.KEY, 3, weak), "weak_key"),
        (
            "new account key did not agree",
            said(ALICE, kinds.KEY, 3, [public("bob"), bytes(64)]),
            "bad_countersignature",
        ),
        ("agreed to be a device", said(ALICE, kinds.KEY, 3, rotate("bob")[1:]), "bad_countersignature"),
        (
            "agreed for another device",
            said(ALICE, kinds.ROTATE, 3, [BOARD, *rotate("bob")[1:]]),
            "bad_countersignature",
        ),
        ("agreed on another network", said(ALICE, kinds.ROTATE, 3, of_other), "bad_countersignature"),
    ]


def owner_file() -> dict[str, Any]:
    vectors = []
    for name, signer, kind, nonce, body, brings in valid():
        payload = cbor.encode([kind, nonce, body, *([public(signer)] if brings else [])])
        data = envelope(signer, cose.TYPE_OWNER, payload)
        account = cose.signer_id(public(signer))
        identity = cose.identity(cose.signed_bytes(account, cose.external_aad(cose.TYPE_OWNER, GENESIS), payload))
        vector = {"name": name, "account": account.hex(), "kind": kind, "nonce": nonce, "body": as_json(body)}
        vectors.append({**vector, "id": identity.hex(), "hex": data.hex()})
    return {
        "about": "Owner messages; known are the operator's key and one account",
        "genesis": GENESIS.hex(),
        "operator_key": public(OPERATOR).hex(),
        "accounts": [{"account": ACCOUNT.hex(), "public_key": public(ALICE).hex()}],
        "vectors": vectors,
        "invalid": [{"name": name, "hex": data.hex(), "why": why} for name, data, why in refused()],
    }
