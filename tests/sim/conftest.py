"""The seeds under test. EDGETALLY_SIM_SEED=N replays one."""

import os

import pytest

SEEDS = range(12)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        only = os.environ.get("EDGETALLY_SIM_SEED")
        metafunc.parametrize("seed", [int(only)] if only else SEEDS)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed and "seed" in dict(report.user_properties):
        print(f"\nreplay with EDGETALLY_SIM_SEED={dict(report.user_properties)['seed']}")


@pytest.fixture(autouse=True)
def _name_the_seed(request: pytest.FixtureRequest) -> None:
    if "seed" in request.fixturenames:
        request.node.user_properties.append(("seed", request.getfixturevalue("seed")))
