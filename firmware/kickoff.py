"""From what `edgetally flash` wrote to a board that is ready to run. `app.py` drops this module when it is done.

What the operator got wrong is a Refused with a code: the board says it on its serial line and with its LED, and looks
again after some minutes. A damaged /board.json is less: the board works without LED, button and sensors, and says so.
"""

import json
import sys
import time

import chip
import esp32
import lamp
import machine
import memory
import network
import provisioning
from wifi import Wifi

STAND_S = 300  # until a board that cannot run starts anew
WATCHDOG_S = 60
NETWORKS_MAX = 8
EXCEPTION = 6  # `notices.EXCEPTION`
PUBLIC = 9  # its place in what `provisioning.load` gives
NO_BOARD = {
    "board": "",
    "buses": [],
    "sensors": [],
    "pins": {},
    "led_kind": "",
    "led_active": 1,
    "watchdog_s": WATCHDOG_S,
    "deep_sleep": False,
}
UNIX_OF_2000 = 946_684_800


class Refused(Exception):
    """`args`: the code, and what is wrong in words."""


def ready(safe):
    """(shell, board). Raises Refused."""
    about = profile("/board.json")
    light = lamp.Lamp(led(about))
    kept = memory.Memory()
    try:
        given = provisioning.load("/provisioning.json", state_dir="/")
        stations = networks("/provisioning.json")
    except provisioning.Refused as refused:
        raise Refused("provisioning_refused", str(refused), light)
    station = network.WLAN(network.WLAN.IF_STA)
    station.active(True)  # the random generator of an ESP32 needs the radio
    station.config(reconnects=0)
    resume = machine.RTC().memory() if machine.reset_cause() == machine.DEEPSLEEP_RESET else b""
    machine.RTC().memory(b"")
    seed, ring = identified(kept, light)
    set_clock(max(kept.number("clock_floor"), given[14]))
    board = chip.Board(kept, light, button(about), safe, about["deep_sleep"])

    import shell
    import start

    board.now_ms = shell.Counter(board).now_ms
    channels, private = measure(board, about, safe)
    if private:
        given[PUBLIC] = False
    device = start.device(given, seed, ring, board, channels, board.now_ms, resume)
    board.client, board.link = device._client, device._link
    # Nothing that stays may be a function of this file: it would hold it all.
    board.wifi = Wifi(station, stations, kept, board.link)
    tell_the_start(board, kept, safe)
    device.updating = board.updating = updates(board, about)
    if about["watchdog_s"]:
        board.watchdog = machine.WDT(timeout=about["watchdog_s"] * 1000)
    return device, board


def tell_the_start(board, kept, safe):
    """Why this boot began, in its first report. A wake is no news: its boot goes on."""
    cause = machine.reset_cause()
    if kept.number("failed_with"):
        kept.set_number("failed_with", 0)
        cause = EXCEPTION
    if cause != machine.DEEPSLEEP_RESET:
        board.tell("reset_cause", cause)
    if safe:
        print("edgetally: safe_mode")
        board.tell("safe_mode", kept.number("failed_boots"))


def updates(board, about):
    """What asks for a newer application, and proves this one."""
    import updating

    running = 1 if sys.path[0] == "/b" else 0
    floor_s = board.kept.number("clock_floor")
    return updating.Updating(board.client, about["board"], "", running, machine.reset, floor_s)


def measure(board, about, safe):
    """(channels, whether their readings are private) of what is wired to the board, and of the board itself. Drivers
    touch nothing before they read, so that safe mode can name its channels as well."""
    import internal

    board.internal = internal.Internal(board.uptime_ms)
    if about["sensors"]:
        try:
            import buses
            from device_client.sensors import attached

            opened = (lambda bus: None) if safe else buses.opened
            board.attached = attached.Attached(about, opened, board.internal)
            return board.attached.channels, board.attached.private
        except (ValueError, KeyError, TypeError, IndexError, ImportError, OSError) as trouble:
            print("edgetally: board_refused sensors: %s %s" % (type(trouble).__name__, trouble))
    return board.internal.channels, False


# WHAT WAS WRITTEN


def profile(path):
    """/board.json as `device_client.profiles.compiled` makes it, or what a board without one can do."""
    about = dict(NO_BOARD)
    try:
        with open(path) as file:
            found = json.load(file)
        if not isinstance(found["pins"], dict) or not 0 <= found["watchdog_s"] <= 3600:
            raise ValueError("pins or watchdog_s")
        about.update(found)
    except (OSError, ValueError, KeyError, TypeError) as trouble:
        print("edgetally: board_refused %s: %s %s" % (path, type(trouble).__name__, trouble))
    return about


def networks(path):
    """[[ssid, password], ...] of the provisioning, in the order to try them. Raises Refused."""
    with open(path) as file:
        found = json.load(file).get("wifi")
    if isinstance(found, list) and 1 <= len(found) <= NETWORKS_MAX and all(map(is_network, found)):
        return found
    raise Refused("provisioning_refused", path + ": wifi is not accepted; it must be 1 to 8 of [name, password]")


def is_network(one):
    return isinstance(one, list) and len(one) == 2 and all(isinstance(text, str) for text in one) and len(one[0]) > 0


# PARTS


def led(about):
    """A `put` for the Lamp, or None."""
    # Two revisions of one board can have it on two pins: both are driven, one of them is free.
    numbers = [about["pins"][role] for role in ("led", "led_also") if role in about["pins"]]
    if not numbers:
        return None
    try:
        if about["led_kind"] == "rgb":
            from neopixel import NeoPixel

            return lamp.coloured([NeoPixel(machine.Pin(number), 1) for number in numbers])
        return lamp.plain(machine.Pin(numbers[0], machine.Pin.OUT), about["led_active"])
    except (ValueError, ImportError) as trouble:
        print("edgetally: board_refused led:", trouble)
        return None


def button(about):
    number = about["pins"].get("button")
    try:
        return None if number is None else machine.Pin(number, machine.Pin.IN, machine.Pin.PULL_UP)
    except ValueError as trouble:
        print("edgetally: board_refused button:", trouble)
        return None


def identified(kept, light):
    """(seed, ring). The seed is durable on return. Raises Refused."""
    from device_client.core import ring

    parts = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="outbox")
    if not parts:
        raise Refused("outbox_refused", "the partition table has no outbox; flash this board again", light)
    try:
        outbox = ring.Ring(parts[0])
    except ValueError as trouble:
        raise Refused("outbox_refused", str(trouble), light)
    import keys

    return keys.opened(kept, outbox)


def set_clock(floor_s):
    """TLS wants to know the day before anybody has told it: no earlier than that of the newest beacon we have kept, nor
    than that of our provisioning."""
    if floor_s <= 0:
        return
    epoch_s = UNIX_OF_2000 if time.gmtime(0)[0] == 2000 else 0
    if time.time() + epoch_s < floor_s:
        year, month, day, hour, minute, second, weekday = time.gmtime(floor_s - epoch_s)[:7]
        machine.RTC().datetime((year, month, day, weekday, hour, minute, second, 0))


# WHAT CANNOT RUN


def remember_fault():
    memory.Memory().set_number("failed_with", 1)


def stand(refused):
    """Say what is wrong until it may have changed; then the board starts anew. Does not return."""
    code, words = refused.args[:2]
    light = refused.args[2] if len(refused.args) > 2 else lamp.Lamp(led(profile("/board.json")))
    light.show("trouble")
    for tick in range(STAND_S * 10):
        if tick % 300 == 0:
            print("edgetally: %s %s" % (code, words))
        light.step()
        time.sleep_ms(100)
    machine.reset()
