"""The event loop that a coordinator runs on."""

import asyncio
import sys

import pytest
import typer
import uvloop

from coordinator.cli.up import run_guarded


@pytest.mark.parametrize("is_there", [True, False])
def test_uvloop_where_there_is_one(is_there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    async def work() -> None:
        seen.append(isinstance(asyncio.get_running_loop(), uvloop.Loop))

    if not is_there:
        monkeypatch.setitem(sys.modules, "uvloop", None)
    run_guarded(work())
    assert seen == [is_there]


def test_what_goes_wrong_is_still_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    async def work() -> None:
        raise OSError("the disk is gone")

    with pytest.raises(typer.Exit) as ended:
        run_guarded(work())
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == "edgetally: the disk is gone\n"
