"""The seeds under test. EDGETALLY_SIM_SEED=N replays one."""

import os

import pytest

SEEDS = {"seed": range(8), "header_seed": range(4)}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    only = os.environ.get("EDGETALLY_SIM_SEED")
    for name, seeds in SEEDS.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, [int(only)] if only else seeds)


@pytest.fixture(autouse=True)
def _name_the_seed(request: pytest.FixtureRequest) -> None:
    for name in SEEDS.keys() & set(request.fixturenames):
        print(f"replay with EDGETALLY_SIM_SEED={request.getfixturevalue(name)}")  # pytest shows it when the test fails
