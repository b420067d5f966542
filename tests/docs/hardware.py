"""The tables of docs/hardware/, from the profiles."""

from collections.abc import Callable, Iterable

from device_client.power import battery_days, year_wh
from device_client.profile_file import sensor_kinds
from device_client.profiles import Part, Profile, load_profile, profiles
from device_client.wiring import wires

BATTERY_MAH = 2000
INTERVALS_S = (60, 600, 3600)


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A table in Markdown."""
    names = list(head)
    lines = [names, ["---"] * len(names), *([str(cell) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def euro(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def _cost(parts: Iterable[Part]) -> int:
    return sum(one.quantity * one.price_cents for one in parts)


def boards() -> str:
    rows = []
    for profile in map(load_profile, profiles()):
        page = f"[{profile.name}]({profile.board}.md)"
        runs = "MicroPython" if profile.kind == "esp32" else profile.os
        rows.append((page, f"`{profile.board}`", profile.chip.family, runs, euro(_cost(profile.parts))))
    return table(("board", "`--board`", "chip", "runs", "everything to start, EUR"), rows)


def sensors() -> str:
    rows = []
    for kind in sensor_kinds().values():
        bought = "; ".join(f"{part.name} ({part.number})" for part in kind.parts)
        drawn = f"{kind.current_ua / 1000:g} mA"
        rows.append((f"`{kind.kind}`", kind.name, kind.bus, bought, euro(_cost(kind.parts)), drawn))
    return table(("sensor", "measures", "bus", "buy", "EUR", "draws"), rows)


def parts(profile: Profile) -> str:
    rows: list[tuple[object, ...]] = [
        (one.name, one.number, one.quantity, euro(one.quantity * one.price_cents), one.seen) for one in profile.parts
    ]
    rows.append(("together", "", "", euro(_cost(profile.parts)), ""))
    return table(("part", "maker's number", "pieces", "EUR", "price seen"), rows)


def wiring(profile: Profile) -> str:
    rows = [(f"`{one.device}`", one.label, one.colour, one.pin, one.position) for one in wires(profile)]
    return table(("sensor", "its pin", "wire", "goes to", "on the header"), rows)


def power(profile: Profile) -> str:
    one = profile.power
    rows: list[tuple[str, str]] = [("runs and holds the link", f"{one.typical_ma} mA")]
    if profile.kind == "esp32":
        rows.append(("transmits, peak", f"{one.peak_ma} mA"))
        rows.append(("deep sleep, the chip alone at 3.3 V", f"{one.sleep_ua} µA"))
        board = f"{one.sleep_board_ua / 1000:g} mA" if one.sleep_board_ua else "no figure that we would vouch for"
        rows.append(("deep sleep, the whole board over USB", board))
    rows.append(("supply to have at 5 V", f"{one.supply_ma} mA"))
    rows.append(("a year without a pause", f"{year_wh(one) / 1000:.1f} kWh"))
    return table(("", "figure"), rows)


def battery(profile: Profile) -> str:
    one = profile.power
    head = ["a report every", "days, the chip alone"]
    if one.sleep_board_ua:
        head.append("days, the whole board")
    sleeping = [one.sleep_ua, *([one.sleep_board_ua] if one.sleep_board_ua else [])]
    rows = [
        (f"{interval_s} s", *(f"{battery_days(one, BATTERY_MAH, interval_s, ua):.0f}" for ua in sleeping))
        for interval_s in INTERVALS_S
    ]
    return table(head, rows)


def sources(profile: Profile) -> str:
    return "".join(f"- [{title}]({address})\n" for title, address in profile.sources)


def _of(make: Callable[[Profile], str], board: str) -> Callable[[], str]:
    return lambda: make(load_profile(board))


TABLES: dict[str, Callable[[], str]] = {"boards": boards, "sensors": sensors}
for _board in profiles():
    for _make in (parts, wiring, power, sources):
        TABLES[f"{_make.__name__} {_board}"] = _of(_make, _board)
    if load_profile(_board).kind == "esp32":
        TABLES[f"battery {_board}"] = _of(battery, _board)
