"""One server for the tests that only read."""

from collections.abc import Iterator

import pytest

from coordinator.web.app import make_app
from tests.web.fakes import BEACON_TIME, FakeReader, FakeSubmit, World, world
from tests.web.serving import Client, serving


@pytest.fixture(scope="session")
def shown() -> World:
    return world()


@pytest.fixture(scope="session")
def client(shown: World) -> Iterator[Client]:
    with serving(make_app(FakeReader(shown), FakeSubmit(), now=lambda: BEACON_TIME + 3.5)) as client:
        yield client
