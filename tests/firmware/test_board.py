"""The firmware of a board as it runs: the simulated board with a real MicroPython, a real broker, a real intake.

What goes wrong around a board must end well: it keeps its key, says what happened, and comes back by itself.
"""

import asyncio
import json
import random

import pytest

from device_client.core import notices, received, statement
from tests.firmware.board_network import made, receipts, said, told
from tests.firmware.board_parts import PARTITIONS
from tests.firmware.shell_network import served
from tests.parts import free_port

HOME = {"ssid": "home", "password": "right"}
CAFE = {"ssid": "cafe", "password": "sugar"}


def life(folder, *, flash="flash.bin", scenario=None, **settings):
    """Run `story(board, network, broker)` with a board that has power."""

    def decorate(story):
        async def run():
            async with served(folder) as (network, broker):
                board = made(folder / flash, network, scenario, **settings)
                async with board:
                    await story(board, network, broker)

        asyncio.run(run())

    return decorate


async def heard(network, count):
    """Wait until the coordinator has so many outcomes more."""
    enough = asyncio.Event()
    target = len(network.outcomes) + count
    network.heard = lambda found: enough.set() if found >= target else None
    await asyncio.wait_for(enough.wait(), 20)


async def until_told(network, code, value):
    for _ in range(30):
        if value in told(network, code):
            return
        await heard(network, 1)
    raise AssertionError(f"notice {code}: {told(network, code)}, not {value}")


def chain(network):
    """(boot, seq) of all statements, each proven to follow the one before where that is here."""
    statements = {(one.boot, one.seq): one for one in said(network)}
    ids = {(outcome.row.boot, outcome.row.seq): outcome.id for outcome in network.outcomes}
    for (boot, seq), one in statements.items():
        assert one.prev == ids.get((boot, seq - 1), one.prev)[:16] and (one.prev == b"") == (seq == 1)
    return sorted(statements)


def test_a_wrong_password_is_told_and_the_next_network_taken(tmp_path):
    wifi = [["home", "wrong"], ["cafe", "sugar"]]

    @life(tmp_path, scenario={"wifi": [HOME]}, wifi=wifi)
    async def _(board, network, broker):
        await board.until(lambda line: line == "edgetally: wifi_refused home")
        await board.until(lambda line: line == "edgetally: wifi_absent cafe 201")
        assert not network.outcomes
        board.air(wifi=[HOME, CAFE])
        await board.status(receipts(2))
        await until_told(network, notices.WIFI_REFUSED, board.said.count("edgetally: wifi_refused home"))
        # The one that worked comes first from now on.
        await board.cut_power()
        board.said.clear()
        await board.power_on()
        await board.status(receipts(2))
        assert "edgetally: wifi_refused home" not in board.said, "\n".join(board.said)


def test_an_access_point_that_goes_for_a_while(tmp_path):
    @life(tmp_path, scenario={"wifi": [HOME]})
    async def _(board, network, broker):
        first = await board.status(receipts(3))
        board.air(wifi=[])
        await board.until(lambda line: line == "edgetally: wifi lost")
        away = await board.status(lambda status: not status["online"])
        assert away["device"] == first["device"]
        board.air(wifi=[HOME])
        again = await board.status(receipts(away["receipts"] + 3))
        assert again["boot"] == 1 and not again["refused"]
        said(network)


def test_a_broker_that_refuses_is_told(tmp_path):
    port = free_port()

    @life(tmp_path, port=port, before="import link\nlink.back_off_ms = lambda attempt, random=None: 50\n")
    async def _(board, network, broker):
        open_writers = []

        async def refuse_thrice(reader, writer):
            open_writers.append(writer)
            if 1 < len(open_writers) <= 4:
                await reader.read(1000)
                writer.write(b"\x20\x02\x00\x05")
                writer.close()
                return
            from_broker, to_broker = await asyncio.open_connection("127.0.0.1", broker.port)
            await asyncio.gather(passed_on(reader, to_broker), passed_on(from_broker, writer))

        async def passed_on(reader, writer):
            while data := await reader.read(4096):
                writer.write(data)
            writer.close()

        async with await asyncio.start_server(refuse_thrice, "127.0.0.1", port):
            await board.status(receipts(2))
            open_writers[0].close()
            await board.until(lambda line: line == "edgetally: broker_refused 5")
            await until_told(network, notices.BROKER_REFUSED, 5)
            await board.cut_power()


def test_a_board_asks_for_updates_where_there_are_none_and_goes_on(tmp_path):
    @life(tmp_path, constants={"updating": {"EVERY_MS": 100}})
    async def _(board, network, broker):
        status = await board.status(lambda status: status["receipts"] >= 3 and len(network.asked) >= 2)
        assert status["boot"] == 1 and not status["refused"]
        said(network)


def test_power_cuts_at_any_moment(tmp_path):
    rounds = 8
    chance = random.Random(5)

    @life(tmp_path)
    async def _(board, network, broker):
        first = await board.status(receipts(2))
        for number in range(rounds):
            await board.cut_power()
            await board.power_on()
            if number % 2:
                await heard(network, chance.randrange(1, 4))
            else:  # in the middle of a start, before it has said anything
                await asyncio.wait([asyncio.create_task(board.status())], timeout=chance.uniform(0.05, 0.4))
        last = await board.status(receipts(2))
        assert last["device"] == first["device"]
        statements = said(network)
        boots = list(dict.fromkeys(one.boot for one in statements))
        assert boots == sorted(boots) and boots[-1] == last["boot"] <= rounds + 1
        chain(network)


@pytest.mark.parametrize("lost", ["nvs", "outbox"])
def test_a_key_without_its_counter_and_a_counter_without_its_key_begin_anew(tmp_path, lost):
    @life(tmp_path)
    async def _(board, network, broker):
        first = await board.status(receipts(3))
        await board.cut_power()
        at, size = PARTITIONS[lost][2:]
        with board.flash.open("r+b") as flash:
            flash.seek(at)
            flash.write(b"\xff" * size)
        await board.power_on()
        second = await board.status(receipts(2))
        assert second["device"] != first["device"] and (second["boot"], second["enrolled"]) == (1, True)
        assert any(line.startswith("edgetally: identity_lost") for line in board.said)
        said(network)


def test_ten_crashes_lead_to_safe_mode_and_a_receipt_out_of_it(tmp_path):
    before = """
import kickoff
real = kickoff.ready
def ready(safe):
    import memory
    if not safe and memory.Memory().number("test_crashes") < 10:
        memory.Memory().set_number("test_crashes", memory.Memory().number("test_crashes") + 1)
        raise RuntimeError("crashed on purpose")
    return real(safe)
kickoff.ready = ready
"""

    @life(tmp_path, before=before, constants={"chip": {"SAFE_MS": 0}})
    async def _(board, network, broker):
        await board.until(lambda line: line == "edgetally: safe_mode")
        assert board.ends == ["reset"] * 10
        await board.until(lambda line: line == "edgetally: restart, safe_mode is over")
        healthy = await board.status(receipts(2))
        assert board.ends == ["reset"] * 11 and healthy["boot"] == 2
        assert told(network, notices.SAFE_MODE)[0] >= 10
        assert notices.EXCEPTION in told(network, notices.RESET_CAUSE)
        assert [line for line in board.said if "safe_mode" in line][-1].endswith("is over")


def test_a_hung_loop_is_ended_by_the_watchdog_and_told(tmp_path):
    before = """
import chip, machine
feed = chip.Board.feed
def hang(self, now_ms):
    feed(self, now_ms)
    if machine.reset_cause() == machine.PWRON_RESET and self.client.accepted > 1:
        while True:
            pass
chip.Board.feed = hang
"""

    @life(tmp_path, before=before, board={"watchdog_s": 1})
    async def _(board, network, broker):
        first = await board.status(receipts(1))
        second = await board.status(lambda status: status["boot"] == 2 and status["receipts"] >= 2)
        assert board.ends == ["watchdog"] and second["device"] == first["device"]
        await until_told(network, notices.RESET_CAUSE, notices.WATCHDOG)
        assert told(network, notices.RESET_CAUSE)[0] == notices.POWER_ON


def test_a_board_that_sleeps_goes_on_with_its_boot(tmp_path):
    @life(tmp_path, board={"deep_sleep": True})
    async def _(board, network, broker):
        while board.ends.count("deep sleep") < 4:
            await board.until(lambda line: line.startswith("edgetally: sleep"))
            await board.until(lambda line: line.startswith("rst:"))
        await board.cut_power()
        found = chain(network)
        assert found == [(1, seq) for seq in range(1, len(found) + 1)] and len(found) >= 5
        uptimes = [one.uptime_s for one in said(network)]
        assert uptimes == sorted(uptimes) and uptimes[-1] >= 3  # the sleeps are counted


def test_a_board_that_sleeps_measures_without_a_network_and_sends_later(tmp_path):
    before = "import link\nlink.back_off_ms = lambda attempt, random=None: 50\n"
    constants = {"chip": {"AWAKE_MS": 700}}

    @life(tmp_path, scenario={"wifi": [HOME]}, before=before, constants=constants, board={"deep_sleep": True})
    async def _(board, network, broker):
        asleep = lambda: board.until(lambda line: line.startswith("edgetally: sleep"))  # noqa: E731
        await asleep()
        heard_of = len(network.outcomes)
        board.air(wifi=[])
        waiting = 0
        while waiting < 3:
            waiting = (await board.status())["pending"]
        assert len(network.outcomes) == heard_of
        board.air(wifi=[HOME])
        await board.status(lambda status: status["online"] and not status["pending"])
        await board.cut_power()
        found = chain(network)
        assert found == [(1, seq) for seq in range(1, len(found) + 1)] and len(found) >= heard_of + 3


def test_the_clock_never_begins_before_what_a_beacon_said(tmp_path):
    before = """
import machine, memory, chip
kept = memory.Memory()
if kept.number("clock_floor") == 0:
    print("floor 0")
elif kept.number("clock_floor") < 1 << 30:
    print("floor low")
else:
    print("floor", kept.number("clock_floor"))
    kept.set_number("clock_floor", 4000000000 // 2)  # newer than the clock of the host
    set_clock = machine.RTC.datetime
    def told(self, fields=None):
        print("clock", fields[0])
    machine.RTC.datetime = told
"""

    @life(tmp_path, before=before)
    async def _(board, network, broker):
        assert await board.until(lambda line: line.startswith("floor")) == "floor 0"
        await board.status(receipts(2))
        await board.cut_power()
        await board.power_on()
        floor = (await board.until(lambda line: line.startswith("floor"))).split()[1]
        assert int(floor) in range(network.founded_s, network.founded_s + 600)
        assert await board.until(lambda line: line.startswith("clock")) == "clock 2033"


@pytest.mark.parametrize("garbage", [b"", b"\0" * 40, bytes(range(256)) * 8], ids=["nothing", "zeros", "bytes"])
def test_garbage_in_the_memory_of_the_clock_begins_a_boot(tmp_path, garbage):
    @life(tmp_path, board={"deep_sleep": True})
    async def _(board, network, broker):
        spoiled = []

        async def spoil(asleep_ms):
            if not spoiled:
                spoiled.append(True)
                state = board._state.read_bytes()
                board._state.write_bytes(state[:5] + garbage)

        board._asleep = spoil
        await board.until(lambda line: line.startswith("edgetally: sleep"))
        again = await board.status(lambda status: status["boot"] == 2 and status["receipts"] >= 1)
        assert again["enrolled"]
        await board.cut_power()
        assert {boot for boot, _ in chain(network)} == {1, 2}


def test_the_button_makes_it_another_device(tmp_path):
    @life(tmp_path, constants={"chip": {"BUTTON_MS": 300}})
    async def _(board, network, broker):
        first = await board.status(receipts(2))
        board.air(pins={"0": [[0, 0]]})
        await board.until(lambda line: line == "edgetally: factory_reset")
        board.air()
        second = await board.status(receipts(2))
        assert second["device"] != first["device"] and (second["boot"], second["enrolled"]) == (1, True)
        said(network)


def test_without_a_network_safe_mode_ends_and_a_radio_that_may_hang_starts_anew(tmp_path):
    before = """
import memory, machine
if machine.reset_cause() == machine.PWRON_RESET:
    memory.Memory().set_number("failed_boots", 10)
"""

    constants = {"chip": {"SAFE_MS": 0, "GOOD_MS": 300, "LINKLESS_MS": 1500}}

    @life(tmp_path, scenario={"wifi": []}, before=before, constants=constants)
    async def _(board, network, broker):
        await board.until(lambda line: line == "edgetally: safe_mode")
        await board.until(lambda line: line == "edgetally: restart, safe_mode is over")
        first = json.loads(await board.until(lambda line: line.startswith("{")))
        await board.until(lambda line: line == "edgetally: restart, no link for an hour")
        again = json.loads(await board.until(lambda line: line.startswith("{")))
        assert (again["device"], again["boot"]) == (first["device"], first["boot"] + 1)
        assert list(board.said).count("edgetally: safe_mode") == 1


PLUGGED = """
import machine, world
from devices.bme280 import BME280
class Here(BME280):
    def write(self, data):
        self.present = not world.now("unplugged", False)
        super().write(data)
machine.attach_i2c(0, 0x76, Here())
"""


def test_a_sensor_is_read_and_its_absence_told_until_it_is_back(tmp_path):
    devices = tmp_path / "devices.py"
    devices.write_text(PLUGGED)
    attached = {"attach": [str(devices)]}

    @life(tmp_path, scenario=attached, sensors=("bme280",))
    async def _(board, network, broker):
        await board.status(receipts(4))
        names, sets = measured(network)
        assert sets and all(len(values) == len(names) for _, *values in sets)
        at = names.index("bme280_temperature")
        assert {values[at] for _, *values in sets} == {2508}  # the data sheet's own example
        channels = sum(1 << index for index, name in enumerate(names) if name.startswith("bme280"))
        board.air(**attached, unplugged=True)
        await until_told(network, notices.SENSOR_ABSENT, channels)
        board.air(**attached)
        await until_told(network, notices.SENSOR_ABSENT, 0)


def measured(network):
    """The names of the declared channels, and every reading set that came."""
    names, sets = [], []
    for one, message in zip(said(network), network.messages, strict=True):
        if one.kind == statement.KIND_ENROLL:
            names = [name for name, _, _ in one.body[6]]
        else:
            sets += received.readings(received.message(message)[2], len(names))
    return names, sets


def test_safe_mode_names_the_channels_and_touches_no_sensor(tmp_path):
    devices = tmp_path / "devices.py"
    devices.write_text("import machine\nclass Touched:\n    def write(self, data):\n        print('touched')\n")
    devices.open("a").write("machine.attach_i2c(0, 0x76, Touched())\n")
    before = "import memory\nmemory.Memory().set_number('failed_boots', 10)\n"

    @life(tmp_path, scenario={"attach": [str(devices)]}, sensors=("bme280",), before=before)
    async def _(board, network, broker):
        await board.status(receipts(3))
        names, sets = measured(network)
        assert "bme280_temperature" in names and not sets
        assert "touched" not in board.said and told(network, notices.SAFE_MODE)


def test_a_damaged_board_file_leaves_a_board_that_works(tmp_path):
    @life(tmp_path, board={"pins": 7})
    async def _(board, network, broker):
        await board.until(lambda line: line.startswith("edgetally: board_refused /board.json"))
        await board.status(receipts(2))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"host": 7}, "host is not accepted"),
        ({"wifi": []}, "wifi is not accepted"),
        ({"wifi": [["home"]]}, "wifi is not accepted"),
    ],
)
def test_a_provisioning_that_cannot_be_used_is_told_and_looked_at_again(tmp_path, changes, words):
    @life(tmp_path, constants={"kickoff": {"STAND_S": 1}}, **changes)
    async def _(board, network, broker):
        for _ in range(2):
            line = await board.until(lambda line: line.startswith("edgetally: provisioning_refused"))
            assert words in line
        assert board.ends == ["reset"]
