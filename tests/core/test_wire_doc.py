"""docs/reference/wire.md says what the code does: codes, constants, files."""

import re

from coordinator.engine.beacons import BEACON_BYTES_MAX
from coordinator.kernel import chains, owner_messages, reasons
from coordinator.proving import QUESTIONS_PER_SLOT_MAX
from coordinator.updating import QUESTIONS_PER_SLOT_MAX as CHUNKS_PER_SLOT_MAX
from device_client.core import (
    asking,
    cbor,
    client,
    cose,
    light,
    manifest,
    notice_names,
    notices,
    proofs,
    received,
    releases,
    statement,
    updates,
    verdicts,
)
from tests.core.parts import VECTORS
from tests.parts import ROOT

TEXT = (ROOT / "docs" / "reference" / "wire.md").read_text()
CDDL = re.sub(r"\s*;.*", "", "\n".join(re.findall(r"```cddl\n(.*?)```", TEXT, re.DOTALL)))
FLAT = re.sub(r"\s+", " ", CDDL)


def test_the_table_of_codes_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| (yes|no) \| \S", TEXT, re.MULTILINE)
    assert [(int(code), name) for code, name, _ in rows] == list(verdicts.NAMES.items())
    assert [row == "yes" for _, _, row in rows] == [verdicts.is_receipted(code) for code in verdicts.NAMES]


def test_the_table_of_notices_is_that_of_the_code() -> None:
    part = TEXT.split("### Notices")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| (.+) \|$", part, re.MULTILINE)
    assert [(int(code), name) for code, name, _ in rows] == list(notice_names.NAMES.items())
    assert {text.split(":")[0].split(" ")[0] for _, _, text in rows} == {"count", "state", "channels"}
    said = {name: dict(re.findall(r"(\d) ([a-z ]+?)(?:,|$)", text.split(". ")[-1].lower())) for _, name, text in rows}
    for name, first in (("reset_cause", "POWER_ON"), ("certificate_refused", "NOT_TOLD")):
        names = list(vars(notices))
        for value, words in said[name].items():
            assert names[names.index(first) + int(value) - 1] == words.upper().replace(" ", "_")


def test_the_table_of_reasons_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| \S", TEXT.split("### Releases")[1].split("\n### ")[0], re.MULTILINE)
    assert [(int(code), name) for code, name in rows] == list(enumerate(manifest.REASONS))[1:]


def test_the_tables_of_owner_messages_are_those_of_the_code() -> None:
    part = TEXT.split("### Owner messages")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| (operator|account|owner) \| \S", part, re.MULTILINE)
    assert {int(kind): name.removeprefix("account_") for kind, name, _ in rows} == owner_messages.KINDS
    assert tuple(int(kind) for kind, _, who in rows if who == "operator") == owner_messages.OPERATOR_KINDS
    named = re.findall(r"^\| (\d+) \| `(\w+)` \| `(\w+)` \|$", part, re.MULTILINE)
    assert [(kind, int(code), name) for code, kind, name in named] == [
        (kind, code, name) for kind, of_kind in reasons.OF.items() for code, name in of_kind.items()
    ]


def test_cddl_says_the_constants_of_the_code() -> None:
    for wanted in (
        f"u32 = 0..{statement.U32_MAX}",
        f"u64 = 0..{statement.U64_MAX}",
        f"i64 = -{statement.I64_MAX}..{statement.I64_MAX}",
        f"missing = {statement.MISSING} ",
        f"id16 = bytes .size {cose.KID_BYTES}",
        f"signature: bytes .size {cose.SIGNATURE_BYTES}",
        f"{statement.CLAIM_NONCE} => id16",
        f"{statement.CLAIM_UPTIME} => u32",
        f"{statement.CLAIM_BOOTCOUNT} => 1..",
        f"{statement.CLAIM_STATEMENT} => [ kind",
        f"channels: [0*{received.CHANNELS_MAX} channel]",
        f"exponent: -{received.EXPONENT_MAX}..{received.EXPONENT_MAX}",
        f"readings = [0*{statement.SETS_MAX} [",
        f"notices: [1*{notices.PAIRS_MAX} [ code: 0..{notices.CODE_MAX},",
        f"place: 0..{statement.I64_MAX}",
        f"salt: bytes .size {statement.SALT_BYTES}",
        f"keys = [1*{light.CERTIFICATES_MAX} bstr",
        f"certificate = [ {light.OWNER_CERTIFY},",
        f"role: {min(light.ROLES)}..{max(light.ROLES)}",
        f"rows: [1*{light.ROWS_MAX} row]",
        f"id8: bytes .size {light.ID8_BYTES}",
        f"reason: 0..{len(manifest.REASONS) - 1} ] ]",
        f"[ {manifest.KIND_CHUNK}, release: bytes .size {manifest.RELEASE_BYTES}, file: 0..{manifest.FILES_MAX}, "
        f"index: 0..{releases.CHUNKS_MAX} ]",
        f"list_bytes: 1..{manifest.LIST_BYTES_MAX}",
        f"size: 0..{manifest.FILE_BYTES_MAX}",
        f"index: 0..{asking.PIECES_MAX - 1}, total: 1..{asking.PIECES_MAX}, digest: bytes .size {asking.DIGEST_BYTES}",
    ):
        assert wanted in FLAT, wanted
    assert statement.NONCE_BYTES == statement.PREV_BYTES == cose.KID_BYTES
    assert asking.KINDS == (1, 2)
    assert (statement.KIND_ENROLL, statement.KIND_REPORT) == (1, 2)


def test_the_text_says_the_limits_of_the_code() -> None:
    text = re.sub(r"\s+", " ", TEXT)
    assert statement.MESSAGE_BYTES_MAX == light.SHEET_BYTES_MAX == light.BEACON_BYTES_MAX == BEACON_BYTES_MAX == 1024
    for wanted in (
        f"A message is at most **{statement.MESSAGE_BYTES_MAX} bytes**",
        f"Type `receipts`, at most **{light.SHEET_BYTES_MAX} bytes**",
        f"Type `beacon`, at most {light.BEACON_BYTES_MAX} bytes",
        f"at most {light.KEYS_BYTES_MAX} bytes",
        f"at most {cbor.DEPTH_MAX} levels of nesting below the outermost",
        f"at most {client.IN_FLIGHT_MAX} without an answer",
        f"a window of {chains.WINDOW} numbers and {chains.GAPS_MAX} open gaps",
        f"1 to {received.NAME_CHARS_MAX} characters",
        f"up to {received.UNIT_CHARS_MAX} characters and {received.UNIT_BYTES_MAX} bytes",
        f"At most {asking.QUESTION_BYTES_MAX} bytes. It begins with the byte {asking.QUESTION_TAG:#x}",
        f"of at most **{asking.PROOF_BYTES_MAX} bytes**",
        f"in pieces of at most **{asking.PIECE_BYTES_MAX} bytes**",
        f"`data` has {asking.PIECE_DATA_BYTES} bytes",
        f"at most {proofs.PATH_HASHES_MAX} hashes",
        f"if there are at most {proofs.IDS_MAX}",
        f"a row of `payouts.rows` ({proofs.PAYOUT_BYTES} bytes)",
        f"SHA-256 over the ids ({proofs.STATEMENTS_BYTES} bytes, big-endian)",
        f"({QUESTIONS_PER_SLOT_MAX} of a device in a slot)",
        f"does not come after {asking.ASKS_MAX} asks",
        f"begins with the byte {manifest.QUESTION_TAG:#x}, an answer has at most **{manifest.ANSWER_BYTES_MAX} bytes**",
        f"and begins with {manifest.ANSWER_TAG:#x}",
        f"of at most **{manifest.MANIFEST_BYTES_MAX} bytes**",
        f"at most {manifest.FILES_MAX} lines",
        f"**{manifest.CHUNK_BYTES} bytes** from `index` * {manifest.CHUNK_BYTES} on",
        f"at most {manifest.PATH_CHARS_MAX} characters of",
        f"at most {manifest.PATH_DEPTH_MAX} parts",
        f"together have at most {manifest.TOTAL_BYTES_MAX} bytes",
        f"at most {updates.CHUNKS_PER_BEACON} between two beacons, and gives up after {updates.ASKS_MAX} asks",
        f"more than {CHUNKS_PER_SLOT_MAX} questions of a device",
        f"{updates.GARBAGE_MAX} answers that nobody asked for",
        f"Codes below {verdicts.MALFORMED} may stand in a sheet",
        f"`{cose._PROTECTED_HEAD.hex(' ')}`",
    ):
        assert wanted in text, wanted


def test_every_type_of_envelope_and_every_vector_file_is_named() -> None:
    for envelope_type in ("STATEMENT", "OWNER", "BEACON", "RECEIPTS", "HEADER", "PROOF", "MANIFEST"):
        assert f"`{getattr(cose, 'TYPE_' + envelope_type)}`" in TEXT
    assert {path.name for path in VECTORS.glob("*.json")} == set(
        re.findall(r"^\| `(\w+\.json)` \|", TEXT, re.MULTILINE)
    )


def test_every_rule_of_the_cddl_is_defined() -> None:
    defined = set(re.findall(r"^(\w+)\s*=", CDDL, re.MULTILINE))
    assert defined >= {
        "envelope",
        "claims",
        "enroll",
        "report",
        "readings",
        "message",
        "beacon",
        "sheet",
        "certificate",
        "question",
        "proof",
        "piece",
        "release_question",
        "release_answer",
        "manifest",
        "line",
    }
    members = re.sub(r'"[^"]*"', "", CDDL)
    used = set(re.findall(r"(?<![\w.#])([A-Za-z]\w*)(?!\w*\s*[:=])", members))
    assert used - defined <= {"bytes", "bstr", "tstr", "any", "size", "cbor"}
