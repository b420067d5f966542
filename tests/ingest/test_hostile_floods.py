"""Bytes at random, poison among the good, and more than a device may send: bounded, counted, and fair to the others."""

import asyncio

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from device_client.core import statement, verdicts
from tests.e2e.running import until

from .conftest import QUOTA, Scene
from .hand import Hand

REASONS = frozenset(verdicts.NAMES.values()) - {"ok"}


def refused(scene: Scene) -> int:
    found = scene.net.refusals()
    assert set(found) <= REASONS
    return sum(found.values())


@st.composite
def mutilated(draw: st.DrawFn, message: bytes) -> bytes:
    """A good message with a piece replaced, cut out or doubled."""
    at = draw(st.integers(0, len(message)))
    end = draw(st.integers(at, min(len(message), at + 40)))
    made = message[:at] + draw(st.one_of(st.binary(max_size=20), st.just(message[at:end] * 2))) + message[end:]
    return made if made != message else message[:-1]


@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
def test_random_bytes(scene: Scene, data: st.DataObject) -> None:
    """By both ways, each refused by a name that is known, once."""
    hand = scene.enrolled()
    good = hand.report(scene.net.beacon())
    random = st.lists(st.one_of(st.binary(min_size=1, max_size=1500), mutilated(good)), min_size=8, max_size=8)
    messages = data.draw(random)
    before = refused(scene)
    hand.say(messages, lambda: until(lambda: refused(scene) >= before + len(messages), "every one to be refused"))
    assert refused(scene) == before + len(messages)
    for message in messages:
        status, content_type, told = scene.net.post(message)
        assert 400 <= status < 500 and content_type == "application/problem+json", told
        assert told["code"] in REASONS
    assert scene.net.post(good)[0] == 200


def test_poison_among_good_messages(scene: Scene) -> None:
    """One connection, one group: every good report counts, every poisoned one is named."""
    hand = scene.enrolled()
    messages, poison = [], 0
    for index in range(QUOTA // 2):
        good = hand.report(scene.net.beacon())
        bad = (good[:-1], b"\x81" * 900, bytes(statement.MESSAGE_BYTES_MAX + 1))[index % 3]
        messages += [bad, good]
        poison += 1
    before = refused(scene)
    hand.say(messages, lambda: until(lambda: scene.statements(hand) == QUOTA // 2 + 1, "all good reports"))
    assert refused(scene) == before + poison
    assert scene.view(hand)["gaps"] == 0  # type: ignore[index]


def test_a_flood_is_limited_and_starves_nobody(scene: Scene) -> None:
    """It sends eight times what a device may in a slot; a modest device on the same broker keeps all that it said."""
    flooder, modest = scene.enrolled(), scene.enrolled()
    flood = [flooder.report(scene.net.beacon()) for _ in range(8 * QUOTA)]
    few = [modest.report(scene.net.beacon()) for _ in range(5)]
    before = scene.net.refusals().get("rate_limited", 0)

    def all_accounted() -> bool:
        dropped = scene.net.refusals().get("rate_limited", 0) - before
        return dropped + scene.statements(flooder) - 1 == len(flood)

    async def run() -> None:
        async with flooder.connected() as loud, modest.connected() as quiet:
            for index, message in enumerate(flood):
                await loud.publish(flooder.up, message, qos=0)
                if index % 64 == 0:
                    await quiet.publish(modest.up, few[index // 64], qos=1)
            await asyncio.to_thread(until, lambda: scene.statements(modest) == 6, "the modest device's reports")
            await asyncio.to_thread(until, all_accounted, "every message of the flood to be in a batch or counted")

    asyncio.run(run())
    # The slot may have changed once or twice meanwhile; it is still far less than what came.
    assert scene.statements(flooder) <= 4 * QUOTA
    assert scene.view(modest)["gaps"] == 0  # type: ignore[index]


def test_who_posts_in_anothers_name_uses_up_no_quota_of_its_connection(scene: Scene) -> None:
    hand = scene.enrolled()
    forged = Hand(hand.given)
    forged.id = hand.id
    for _ in range(QUOTA + 5):
        status, _, told = scene.net.post(forged.report(scene.net.beacon()))
        assert (status, told["code"]) in ((400, "bad_signature"), (429, "rate_limited"))
    own = [hand.report(scene.net.beacon())]
    hand.say(own, lambda: until(lambda: scene.statements(hand) == 2, "its own report"))
