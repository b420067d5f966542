"""static/bundle.js in a real Chromium beside engine/bundle_check.py: of every bundle, honest, forged or mutated at
random, both say the same, step by step and word for word."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page

from coordinator.engine.bundle import NotABundle, parse
from coordinator.engine.bundle_check import check
from device_client.core import cbor, verdicts
from tests.engine import bundles, test_bundle
from tests.web.chromium import launched
from tests.web.serving import Client

JUDGE = """async ([bundles, expected]) => {
  const { hex, unhex } = await import("/static/wire.js");
  const { NotABundle, check, parse } = await import("/static/bundle.js");
  const told = [];
  for (const data of bundles) {
    try {
      told.push((await check(parse(unhex(data)), expected ? unhex(expected) : undefined)).map(Object.values));
    } catch (error) {
      if (!(error instanceof NotABundle)) throw error;
      told.push(error.message);
    }
  }
  return told;
}"""
GENESIS_HASH = bundles.network().genesis_hash
Judged = Callable[[list[bytes], bytes | None], Any]


@pytest.fixture(scope="module")
def page(client: Client) -> Iterator[Page]:
    with launched() as browser:
        page = browser.new_page()
        page.goto(client.url)
        yield page


@pytest.fixture(scope="module")
def judged(page: Page) -> Judged:
    return lambda data, expected: page.evaluate(
        JUDGE, [[one.hex() for one in data], expected.hex() if expected else ""]
    )


def here(data: bytes, expected: bytes | None) -> Any:
    """What Python says of it, in the shape of the answer."""
    try:
        return [list(step) for step in check(parse(data), expected)]
    except NotABundle as error:
        return str(error)


@pytest.mark.parametrize("expected", [GENESIS_HASH, None], ids=["pinned", "unpinned"])
def test_both_say_the_same_of_what_is_honest_and_what_is_forged(judged: Judged, expected: bytes | None) -> None:
    some = bundles.bundle(test_bundle.PAID)
    with_receipts = (test_bundle.sheet(some), test_bundle.sheet(some, code=16), b"\xd2")
    held = [bundles.bundle(device) for device in test_bundle.DEVICES]
    held += [data for data, _, _ in test_bundle.FORGED.values()]
    held += [bundles.bundle(test_bundle.PAID, sheets=with_receipts), bundles.bundle(test_bundle.PAID, epoch=77), b""]
    told = judged(held, expected)
    assert told == [here(data, expected) for data in held]
    assert sum("failed" in str(one) for one in told) > len(test_bundle.FORGED)


def test_every_verdict_has_the_same_name(page: Page) -> None:
    codes = [*range(256), 2**32, 2**64 - 1]
    script = """async (codes) => {
      const { verdictName } = await import("/static/bundle.js");
      return codes.map((code) => verdictName(BigInt(code)));
    }"""
    assert page.evaluate(script, [str(code) for code in codes]) == [verdicts.name(code) for code in codes]


def places(value: Any, way: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """Every place in a bundle."""
    for at, one in enumerate(value):
        yield (*way, at)
        if isinstance(one, list):
            yield from places(one, (*way, at))


HONEST = bundles.bundle(test_bundle.PAID, sheets=(test_bundle.sheet(bundles.bundle(test_bundle.PAID)),))
PLACES = list(places(cbor.decode(HONEST)))
# Numbers at the edges of the widths that the two languages compute in.
NUMBERS = st.sampled_from([0, 1, 2, 2**31, 2**32 - 1, 2**53, 2**53 + 1, 2**63, 2**64 - 1]) | st.integers(0, 40)


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A bundle with one to three places changed: a bit, a length, a number, two parts swapped, now and then a type."""
    fields: Any = cbor.decode(HONEST)
    for _ in range(draw(st.integers(1, 3))):
        way = draw(st.sampled_from(PLACES))
        inner = fields
        try:
            for at in way[:-1]:
                inner = inner[at]
            value = inner[way[-1]]
        except (IndexError, TypeError):  # an earlier change took the place away
            continue
        if draw(st.integers(0, 11)) == 0:
            inner[way[-1]] = draw(st.sampled_from([b"", "", [], 0, bytes(32), [[]]]) | st.sampled_from(inner))
        else:
            inner[way[-1]] = draw(changes(value))
    return cbor.encode(fields)


def changes(value: Any) -> st.SearchStrategy[Any]:
    """Of the same type."""
    if isinstance(value, bytes):
        bits = st.integers(0, max(0, len(value) * 8 - 1))
        flips = bits.map(lambda bit: test_bundle.with_bit(value, bit) if value else value)
        cuts = st.integers(0, len(value)).map(lambda size: value[:size])
        return flips | flips | flips | cuts | cuts.map(lambda part: part + bytes(32))
    if isinstance(value, str):
        return st.text(max_size=4).map(lambda text: value[:-1] + text) | st.just(value.replace("/", "-"))
    if isinstance(value, int):
        return NUMBERS | st.just(value + 1) | st.just(max(0, value - 1))
    again = st.integers(0, max(0, len(value) - 1)).map(lambda at: value[: at + 1] + value[at:])
    return st.permutations(value) | st.just(value[1:]) | st.just(value[:-1]) | again


@settings(
    max_examples=1000 if os.environ.get("EDGETALLY_SOAK") else 20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.lists(mutations(), min_size=8, max_size=8), pinned=st.booleans())
def test_both_say_the_same_of_any_mutation(judged: Judged, data: list[bytes], pinned: bool) -> None:
    expected = GENESIS_HASH if pinned else None
    assert judged(data, expected) == [here(one, expected) for one in data]
