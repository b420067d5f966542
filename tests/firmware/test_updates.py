"""Updates of a board: taken whole, resumed, refused by name, and never worse than what runs."""

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

import nacl.signing
import pytest

from coordinator.store.rollouts import PPM, RUNNING, Rollout
from device_client.core import cbor, cose, light, manifest, releases, updates
from device_client.core.manifest import Manifest
from tests.firmware.update_parts import BOARD, DEVICE, EVERY_MS, NOW_S, Board, Publisher, board_of, content, slots

TURNS = 400
VERSION_B = 6


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return board_of(tmp_path)


def on_trial(board: Board) -> bool:
    return board.state[2] == 1


def untouched(board: Board) -> bool:
    """Version 1 runs, nothing is on trial, and its files are what they were."""
    return board.resets == 0 and not on_trial(board) and board.state[1] == 0 and board.held("a") == content(1)


def test_from_version_1_to_2(board: Board) -> None:
    board.publisher.release(2)
    board.run(50)
    assert board.client.counters == {} and ("firmware_version", 0) in board.notices  # before a receipt nothing is asked
    board.receipt()
    assert board.run(TURNS) < TURNS
    assert on_trial(board) and board.state[1] == 0 and board.state[VERSION_B] == 2
    assert board.held("b") == content(2) and board.held("a") == content(1)
    board.start(1)
    assert board.updating.on_trial and board.updating.version == 2 and ("firmware_version", 2) in board.notices
    board.receipt()
    board.run(50)
    assert not on_trial(board) and board.state[1] == 1 and board.state[7] == 2
    assert ("update_refused", 0) in board.notices  # whatever was the matter before
    assert board.publisher.rollouts is not None and not board.publisher.refused
    board.publisher.server._write()
    assert board.publisher.rollouts.stages(BOARD, 2) == {DEVICE: (RUNNING, 0)}


def test_the_next_one_goes_into_the_other_slot(board: Board) -> None:
    for version, runs_in in ((2, 1), (3, 0)):
        board.publisher.release(version)
        board.receipt()
        board.run(TURNS)
        board.start(runs_in)
        board.receipt()
        board.run(1)
        assert board.held("ab"[runs_in]) == content(version) and board.state[1] == runs_in


def test_it_goes_on_where_the_power_was_cut(board: Board) -> None:
    board.publisher.release(2, content(2, (20_000,)))
    fetched = 0
    for _ in range(20):
        board.receipt()
        board.run(EVERY_MS // 3_000 + 9)
        fetched += board.updating._updater.fetched if board.updating._updater else 0
        if board.resets:
            break
        board.start(0)
    assert board.resets == 1 and board.held("b") == content(2, (20_000,))
    assert board.client.counters.get("updates_begun", 0) == 0  # another start had begun it
    assert fetched < 3 * 24


def test_what_did_not_change_is_not_fetched(board: Board) -> None:
    files = {**content(1), "app.mpy": b"version 2", "lib/part_0.mpy": bytes(5_000)}
    board.publisher.release(2, files)
    board.receipt()
    asked = []
    answers = board.publisher.answers
    board.publisher.answers = lambda question: asked.append(question) or answers(question)  # type: ignore[method-assign]
    board.run(TURNS)
    assert board.resets == 1 and board.held("b") == files
    assert {releases.parsed(one).file for one in asked if one[1] == 4} == {0, 1, 2}
    assert board.client.counters["update_files_borrowed"] == 3


def test_a_trial_without_a_receipt_starts_again(board: Board) -> None:
    board.publisher.release(2)
    board.receipt()
    board.run(TURNS)
    board.start(1)
    board.now_ms = board.updating.trial_ms - 10_000
    board.run(3)
    assert board.resets == 1
    board.run(3)
    assert board.resets == 2 and on_trial(board)


# THREATS: each is refused by its name, and the board stays what it was


def offered(publisher: Publisher, **changes: object) -> bytes:
    """The manifest of a release, with other fields."""
    listing = releases.listed([("app.mpy", 4, hashlib.sha256(b"evil").digest())])
    fields = {
        "version": 9,
        "board": BOARD,
        "not_after": NOW_S + 86_400,
        "list_bytes": len(listing),
        "list_digest": hashlib.sha256(listing).digest(),
    } | changes
    return publisher.envelope(Manifest(**fields))  # type: ignore[arg-type]


def by_stranger(publisher: Publisher) -> bytes:
    return publisher.envelope(Manifest(9, BOARD, NOW_S + 9, 40, bytes(32)), nacl.signing.SigningKey(bytes(32)))


def by_coordinator(publisher: Publisher) -> bytes:
    key = nacl.signing.SigningKey(publisher.home.coordinator_key.read_bytes())
    return publisher.envelope(Manifest(9, BOARD, NOW_S + 9, 40, bytes(32)), key)


def of_another_network(publisher: Publisher) -> bytes:
    return publisher.envelope(Manifest(9, BOARD, NOW_S + 9, 40, bytes(32)), genesis=bytes(32))


def of_another_type(publisher: Publisher) -> bytes:
    payload = Manifest(9, BOARD, NOW_S + 9, 40, bytes(32)).payload()
    kid = cose.signer_id(bytes(publisher.key.verify_key))
    aad = cose.external_aad(cose.TYPE_BEACON, publisher.genesis.hash)
    return cose.wrap(kid, payload, publisher.key.sign(cose.signed_bytes(kid, aad, payload)).signature)


def spoiled(publisher: Publisher) -> bytes:
    envelope = bytearray(offered(publisher))
    envelope[-1] ^= 1
    return bytes(envelope)


MANIFESTS = {
    "a wrong signature": (spoiled, "update_bad_signature"),
    "a key that nobody certified": (by_stranger, "update_unknown_key"),
    "a key of the wrong role": (by_coordinator, "update_unknown_key"),
    "another network": (of_another_network, "update_bad_signature"),
    "another type of envelope": (of_another_type, "update_bad_signature"),
    "another board class": (lambda at: offered(at, board="esp32-c3-devkitm"), "update_wrong_board"),
    "an expired one": (lambda at: offered(at, not_after=NOW_S - 1), "update_expired"),
    "a list beyond all bounds": (lambda at: offered(at, list_bytes=1 << 30), "update_too_large"),
    "no manifest": (lambda at: b"\xd2\x84 garbage", "update_malformed"),
    "nothing signed": (lambda at: bytes(200), "update_malformed"),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_hostile_manifest(board: Board, name: str) -> None:
    make, reason = MANIFESTS[name]
    envelope = make(board.publisher)
    board.publisher.release(2)
    board.receipt()
    board.run(50, lambda answer: [releases.manifest_answer(envelope)])
    assert board.client.counters[reason] >= 1, board.client.counters
    assert "updates_begun" not in board.client.counters and untouched(board)
    assert (
        "update_refused",
        manifest.REASONS.index(reason.removeprefix("update_")),
    ) in board.notices
    assert board.client.counters["updates_asked"] <= 2  # it backs off


@pytest.mark.parametrize("version", [1, 2, 3])
def test_rollback_to_an_older_version(board: Board, version: int) -> None:
    """A board that has run version 3, in a slot that broke, takes version 3 again and nothing older."""
    board.publisher.release(3)
    board.receipt()
    board.run(TURNS)
    board.start(1)
    board.receipt()
    board.run(1)
    board.resets = 0
    envelope = offered(board.publisher, version=version)
    board.start(0)  # b was good, and cannot run any more
    assert ("application_corrupt", 2) in board.notices
    board.receipt()
    board.run(50, lambda answer: [releases.manifest_answer(envelope)])
    if version < 3:
        assert board.client.counters["update_old_version"] >= 1 and "updates_begun" not in board.client.counters
    else:
        assert board.client.counters["updates_begun"] == 1


def test_a_version_that_was_rolled_back_is_not_tried_again(board: Board) -> None:
    state = slots.load("")
    state[8], state[4] = 2, manifest.ROLLED_BACK
    slots.Slots(str(board.folder), 0)._save(state)
    board.start(0)
    assert ("update_rolled_back", 2) in board.notices
    board.receipt()
    board.publisher.release(2)
    envelope = board.publisher.rollouts.release(BOARD, 2).envelope
    board.run(200)
    assert "updates_begun" not in board.client.counters  # the coordinator knows, and offers nothing
    board.updating._answers = 1
    board.updating.take(releases.manifest_answer(envelope), board.now_ms)
    assert board.client.counters["update_rolled_back"] == 1
    board.publisher.release(3)
    board.start(0)
    board.receipt()
    assert board.run(TURNS) < TURNS and board.state[VERSION_B] == 3


def test_an_old_beacon_does_not_turn_the_time_back(board: Board) -> None:
    """Freeze: old beacons and an old manifest, shown to a board that knows nothing but what it wrote down."""
    board.publisher.release(2, days=1)
    board.start(0, floor_s=NOW_S + 2 * 86_400)
    board.receipt()
    board.run(50)
    assert board.client.counters["update_expired"] >= 1 and untouched(board)
    # Without the floor of the board's own clock the newest time that an update wrote down holds.
    slots.Slots(str(board.folder), 0).good(NOW_S + 2 * 86_400)
    board.start(0)
    board.receipt()
    board.run(50)
    assert board.client.counters["update_expired"] >= 1 and not on_trial(board)


def test_it_expires_while_it_is_fetched(board: Board) -> None:
    board.publisher.release(2)
    board.receipt()

    def late(answer: bytes) -> Iterable[bytes]:
        board.beacon.time = NOW_S + 2 * 86_400
        return [answer]

    board.run(100, late)
    assert board.client.counters["update_expired"] >= 1 and untouched(board)


def fields_of(answer: bytes) -> list:
    found = cbor.decode(answer)
    assert isinstance(found, list)
    return found


def is_chunk(answer: bytes) -> bool:
    return fields_of(answer)[0] == manifest.KIND_CHUNK


def other_file(answer: bytes) -> list[bytes]:
    """Mix and match: the chunk of another version of the file."""
    fields = fields_of(answer)
    if is_chunk(answer) and fields[2] > 1:
        fields[4] = bytes(len(fields[4]))
    return [cbor.encode(fields)]


def longer(answer: bytes) -> list[bytes]:
    fields = fields_of(answer)
    if is_chunk(answer):
        fields[4] = (fields[4] * 900)[:900] if len(fields[4]) < 900 else fields[4][:10]
    return [cbor.encode(fields)]


def oversized(answer: bytes) -> list[bytes]:
    fields = fields_of(answer)
    if is_chunk(answer):
        fields[4] = bytes(901)
    return [cbor.encode(fields)]


def beyond(answer: bytes) -> list[bytes]:
    fields = fields_of(answer)
    if is_chunk(answer):
        fields[3] += 7
    return [cbor.encode(fields)]


def noise(answer: bytes) -> list[bytes]:
    return [b"\x85" + bytes(20)] * 40 if is_chunk(answer) else [answer]


def silence(answer: bytes) -> list[bytes]:
    return [] if is_chunk(answer) else [answer]


def listing(files: list[tuple[object, object, object]]) -> bytes:
    return b"".join(cbor.encode(list(line)) for line in files)


CHUNKS = {
    "the file of another version": (other_file, "update_bad_digest"),
    "chunks of another length": (longer, "update_wrong_length"),
    "chunks that are too long": (oversized, "update_too_large"),
    "chunks that nobody asked for": (beyond, "update_not_asked"),
    "garbage without end": (noise, "update_malformed"),
    "no chunks at all": (silence, "update_unanswered"),
}


@pytest.mark.parametrize("name", CHUNKS)
def test_hostile_chunks(board: Board, name: str) -> None:
    tamper, reason = CHUNKS[name]
    board.publisher.release(2)
    board.receipt()
    board.run(1200, tamper)
    counters = board.client.counters
    assert counters[reason] >= 1 and untouched(board), counters
    # It gives up, tells, and is not worn out: an hour's, two, four ... of rest.
    assert [said for said in board.notices if said[0] == "update_refused"] and counters["updates_asked"] <= 7
    assert board.updating.under_way == 0 or board.updating._failures >= 1
    # Whoever stops lying is believed again.
    board.start(0)
    board.receipt()
    assert board.run(TURNS) < TURNS and board.held("b") == content(2)


D = bytes(32)
LISTS = {
    "a path out of the slot": ([("../main.py", 1, D)], "update_bad_path"),
    "an absolute path": ([("/main.py", 1, D)], "update_bad_path"),
    "a path inside out": ([("lib/../../main.py", 1, D)], "update_bad_path"),
    "a hidden file": ([(".x", 1, D)], "update_bad_path"),
    "a bad letter": ([("a b", 1, D)], "update_bad_path"),
    "a path that the updater uses": ([("manifest.cose", 1, D)], "update_bad_path"),
    "a path too long": ([("x" * 65, 1, D)], "update_bad_path"),
    "folders without end": ([("a/b/c/d/e", 1, D)], "update_bad_path"),
    "one path twice": ([("a", 1, D), ("a", 1, D)], "update_bad_path"),
    "too many files": ([(f"f{n:03}", 1, D) for n in range(97)], "update_too_large"),
    "a file too large": ([("a", 131_073, D)], "update_too_large"),
    "files too large together": ([(f"f{n}", 131_072, D) for n in range(5)], "update_too_large"),
    "a size that is none": ([("a", -1, D)], "update_malformed"),
    "a digest too short": ([("a", 1, b"")], "update_malformed"),
    "no list": ([("a", 1)], "update_malformed"),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_hostile_list(board: Board, name: str) -> None:
    """Signed by the firmware key, and refused nevertheless: a stolen key must not reach beyond the slot."""
    files, reason = LISTS[name]
    text = listing(files)  # type: ignore[arg-type]
    found = Manifest(2, BOARD, NOW_S + 86_400, len(text), hashlib.sha256(text).digest())
    envelope = board.publisher.envelope(found)
    release = manifest.release_of(envelope)
    board.publisher.release(2)
    board.receipt()
    board.updating._answers = 0
    before = sorted(path for path in board.folder.rglob("*") if "b" not in path.parts)

    def hostile(answer: bytes) -> list[bytes]:
        return [releases.manifest_answer(envelope)]

    for _ in range(40):
        board.beat()
        board.client.beacon = board.beacon
        board.now_ms += 3_000
        for question in board.updating.step(board.now_ms):
            asked = releases.parsed(question)
            if asked.kind == manifest.KIND_MANIFEST:
                board.updating.take(hostile(b"")[0], board.now_ms)
            else:
                assert asked.release == release and asked.file == 0, "a file of a hostile list was asked for"
                data = text[asked.index * 900 :][:900]
                board.updating.take(releases.chunk_answer(asked, data), board.now_ms)
        if reason in board.client.counters:
            break
    assert board.client.counters[reason] == 1, board.client.counters
    assert untouched(board)
    after = sorted(path for path in board.folder.rglob("*") if "b" not in path.parts and path.name != "slots")
    assert after == before


def test_reports_go_on_beside_a_coordinator_that_answers_garbage(board: Board) -> None:
    """Whatever comes: `take` and `step` raise nothing that the client does not count, and hold nothing."""
    board.publisher.release(2)
    board.receipt()
    for length in (0, 1, 5, 200, 1024, 5000):
        board.run(30, lambda answer, length=length: [b"\x85" + bytes(length), answer[:-1], answer + b"\x00"])  # type: ignore[misc]
    assert untouched(board) and board.updating.under_way == 0


def full(*_: object) -> None:
    raise MemoryError


def test_an_answer_leaves_nothing_in_memory(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Garbage, or a manifest for which there is no memory, and what only an update needs is gone again."""
    board.publisher.release(2)
    (answer,) = board.publisher.answers(cbor.encode([3, BOARD, 1, [0, 0]]))
    board.updating._answers = 2
    monkeypatch.setattr(updates, "Updater", full)
    held = {"device_client.core.manifest": manifest, "device_client.core.updates": updates}
    for message, counted in ((b"\x85 garbage", "update_malformed"), (answer, "no_memory")):
        for name, module in held.items():
            monkeypatch.setitem(sys.modules, name, module)
        board.updating.take(message, 0)
        assert board.client.counters[counted] == 1 and not {*held, "slots"} & set(sys.modules)
    assert board.notices[-1] == ("update_refused", manifest.STORAGE)


@pytest.mark.parametrize("step", ["step", "take"])
def test_an_update_without_memory_is_put_off_and_goes_on_later(board: Board, step: str) -> None:
    """The board must not start anew for it, again and again."""
    board.publisher.release(2)
    board.receipt()
    while not board.updating.under_way or board.updating._updater.fetched < 3:
        board.run(1)
    setattr(board.updating._updater, step, full)
    board.run(20)
    assert board.client.counters["no_memory"] == 1 and ("update_refused", manifest.STORAGE) in board.notices
    assert untouched(board) and board.run(TURNS) < TURNS and board.held("b") == content(2)


class FullSlots(slots.Slots):
    """The flash takes the list, and no file."""

    def append(self, path: str, data: bytes) -> None:
        if path not in (manifest.MANIFEST, manifest.LIST):
            raise OSError(28)
        super().append(path, data)


def test_no_room_on_the_board(board: Board) -> None:
    board.publisher.release(2)
    board.receipt()
    board.updating._slots = lambda: FullSlots(str(board.folder), 0)
    board.run(60)
    assert board.client.counters["update_storage"] >= 1 and untouched(board)
    del board.updating._slots
    assert board.run(TURNS) < TURNS and board.held("b") == content(2)


def test_reasons_and_questions_say_the_same_on_both_sides() -> None:
    question = cbor.encode([3, BOARD, 7, [8, 6]])
    assert question == manifest.manifest_question(BOARD, 7, 8, 6)
    asked = releases.parsed(question)
    assert (asked.board, asked.running, asked.trouble, asked.reason) == (BOARD, 7, 8, manifest.ROLLED_BACK)
    assert len(manifest.manifest_question("x" * 32, 2**32 - 2, 2**32 - 2, 13)) <= manifest.QUESTION_BYTES_MAX
    assert len(set(manifest.REASONS)) == len(manifest.REASONS) == manifest.STORAGE + 1


def test_without_a_firmware_key_nothing_is_believed(board: Board) -> None:
    board.publisher.release(2)
    board.client.trust.firmware.clear()
    board.receipt()
    board.run(50)
    assert board.client.counters["update_unknown_key"] >= 1 and untouched(board)


def test_a_key_that_was_replaced_is_not_believed(board: Board, tmp_path: Path) -> None:
    from coordinator.releasing import certify_firmware_key

    publisher = board.publisher
    publisher.release(2)
    certify_firmware_key(
        publisher.home, publisher.genesis, publisher.root, tmp_path / "second.key", lambda n: b"\x07" * n
    )
    board.client.trust.accept_certificates(publisher.home.keys.read_bytes())
    board.receipt()
    board.run(50)
    assert board.client.counters["update_unknown_key"] >= 1 and untouched(board)


def test_the_manifest_fits_a_message() -> None:
    found = Manifest(2**32 - 2, "x" * 32, 2**63, manifest.LIST_BYTES_MAX, bytes(32))
    envelope = cose.wrap(bytes(16), found.payload(), bytes(64))
    assert len(envelope) <= manifest.MANIFEST_BYTES_MAX
    assert len(releases.chunk_answer(releases.Asked(4, release=bytes(8), file=96, index=1000), bytes(900))) <= 1024
    assert isinstance(light.ROLE_FIRMWARE, int) and updates.CHUNKS_PER_BEACON < 32
    assert Rollout(BOARD, 2, PPM, False).ppm == PPM
