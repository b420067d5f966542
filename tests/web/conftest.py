"""One server for the tests that only read."""

from collections.abc import Iterator

import pytest

from coordinator.web.app import make_app
from tests.web.fakes import BEACON_TIME, FakeReader, FakeSubmit, World
from tests.web.fakes import world as made_world
from tests.web.money import Money, money
from tests.web.serving import Client, serving


@pytest.fixture(scope="session")
def shown() -> World:
    return made_world()


@pytest.fixture(scope="session")
def client(shown: World) -> Iterator[Client]:
    with serving(make_app(FakeReader(shown), FakeSubmit(), now=lambda: BEACON_TIME + 3.5)) as client:
        yield client


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Money]:
    """A real network with everything that can happen to money; for tests that only read."""
    with money(tmp_path_factory.mktemp("money")) as made:
        yield made
