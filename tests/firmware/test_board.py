"""The firmware of a board as it runs: the simulated board with a real MicroPython, a real broker, a real intake."""

import asyncio

from tests.firmware.board_network import made
from tests.firmware.shell_network import served


def receipts(count):
    return lambda status: status["receipts"] >= count


def test_a_board_enrols_reports_and_comes_back_as_itself(tmp_path):
    async def life():
        async with served(tmp_path) as (network, _):
            board = made(tmp_path / "flash.bin", network)
            async with board:
                first = await board.status(receipts(4))
                assert first["enrolled"] and first["boot"] == 1
                await board.cut_power()
                await board.power_on()
                second = await board.status(receipts(2))
                assert (second["device"], second["boot"]) == (first["device"], 2)

    asyncio.run(life())
