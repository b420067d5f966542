"""What a profile may do with the pins of its chip: rules over what was read, each refusal with its reason."""

from collections.abc import Iterator, Mapping

from .profile_shapes import Bus, Chip, Profile, SensorKind
from .toml_table import ProfileError

INPUT_ROLES = ("rx", "in")  # these only read their pin


def check(file: str, profile: Profile, kinds: Mapping[str, SensorKind]) -> None:
    """Raises ProfileError for the first rule that the profile breaks."""
    for found in _broken(profile, kinds):
        raise ProfileError(f"{file}: {found}")


def _broken(profile: Profile, kinds: Mapping[str, SensorKind]) -> Iterator[str]:
    yield from _names(profile)
    yield from _used_twice(profile)
    for role, pin in profile.pins.items():
        yield from _pin(profile.chip, f"pins.{role}", pin, drives=role != "button")
    for bus in profile.buses:
        yield from _bus(profile, bus)
    yield from _sensors(profile, kinds)
    yield from _power(profile)
    if profile.deep_sleep and profile.kind != "esp32":
        yield f"sleep.deep is true; a {profile.kind} has no deep sleep"


def _names(profile: Profile) -> Iterator[str]:
    for word, names in (
        ("bus", [one.name for one in profile.buses]),
        ("sensor", [one.name for one in profile.sensors]),
    ):
        for name in names:
            if names.count(name) > 1:
                yield f"two {'buses' if word == 'bus' else 'sensors'} are named {name}"
            if not name.replace("-", "").replace("_", "").isalnum() or len(name) > 16:
                yield f"the {word} {name!r} needs a name of at most 16 letters, digits, - and _"


def _used_twice(profile: Profile) -> Iterator[str]:
    used: dict[int, str] = {}
    uses = [(f"pins.{role}", pin) for role, pin in profile.pins.items()]
    uses += [(f"bus {bus.name} {role}", pin) for bus in profile.buses for role, pin in bus.pins.items()]
    for use, pin in uses:
        if pin in used:
            yield f"pin {pin} is used twice: by {used[pin]} and by {use}"
        used[pin] = use


def _pin(chip: Chip, use: str, pin: int, drives: bool) -> Iterator[str]:
    if pin not in chip.pins:
        yield f"{use}: a {chip.family} has no pin {pin}"
    if pin in chip.flash:
        yield f"{use}: pin {pin} is forbidden: " + ("the EEPROM of add-on boards" if chip.kind == "pi" else "the flash")
    if pin in chip.console:
        yield f"{use}: pin {pin} is forbidden: the console over USB needs it"
    if pin in chip.usb:
        yield f"{use}: pin {pin} is forbidden: the USB port of the chip"
    if drives and pin in chip.input_only:
        yield f"{use}: pin {pin} can only read, and this has to drive it"


def _bus(profile: Profile, bus: Bus) -> Iterator[str]:
    chip = profile.chip
    for role, pin in bus.pins.items():
        use = f"bus {bus.name} {role}"
        yield from _pin(chip, use, pin, drives=role not in INPUT_ROLES)
        if pin in chip.strapping:
            yield f"{use}: pin {pin} decides how the chip starts; what is attached there can keep it from starting"
        if not any(label == f"GPIO{pin}" for label, _ in profile.header):
            yield f"{use}: pin {pin} is not on the board's header"
        if bus.kind == "adc" and pin not in chip.adc1:
            has = f"pins with ADC1: {', '.join(map(str, sorted(chip.adc1)))} (ADC2 does not work with Wi-Fi)"
            yield f"{use}: pin {pin} cannot measure a voltage; {has if chip.adc1 else f'a {chip.family} has no ADC'}"
        if bus.kind == "pulse" and pin in chip.input_only:
            yield f"{use}: pin {pin} has no pull-up, which the contact of a pulse counter needs"
    if bus.kind == "uart" and profile.kind == "esp32" and not 1 <= int(bus.id) < chip.uarts:
        yield f"bus {bus.name}: id is {bus.id}; it must be from 1 to {chip.uarts - 1} (0 is the console)"
    same = [one.name for one in profile.buses if one.kind == bus.kind and one.id == bus.id]
    if bus.kind in ("i2c", "uart") and len(same) > 1:
        yield f"buses {' and '.join(same)} have the same id {bus.id}"


def _sensors(profile: Profile, kinds: Mapping[str, SensorKind]) -> Iterator[str]:
    buses = {bus.name: bus for bus in profile.buses}
    taken: dict[tuple[str, int], str] = {}
    for one in profile.sensors:
        wanted = kinds[one.kind].bus
        bus = buses.get(one.bus)
        if bus is None:
            yield f"sensor {one.name}: there is no bus {one.bus}; buses: {', '.join(buses) or 'none'}"
        elif bus.kind != wanted:
            yield f"sensor {one.name}: a {one.kind} needs a bus of kind {wanted}, and {one.bus} is of kind {bus.kind}"
        elif wanted == "i2c":
            place = (one.bus, one.address)
            if place in taken:
                yield f"sensors {taken[place]} and {one.name} have the same address {one.address:#04x} on {one.bus}"
            taken[place] = one.name


def _power(profile: Profile) -> Iterator[str]:
    power = profile.power
    if not power.typical_ma <= (power.peak_ma or power.typical_ma) <= power.supply_ma:
        yield "power: typical_ma, peak_ma and supply_ma must rise: a board restarts when it needs more than its supply"
    if profile.kind != "esp32":
        return
    if not power.sleep_ua <= (power.sleep_board_ua or power.sleep_ua) < power.typical_ma * 1000:
        yield "power: sleep_ua, sleep_board_ua and typical_ma must rise: the chip, the whole board, and awake"
    if not power.receive_ma <= power.peak_ma or power.transmit_ms > power.awake_ms:
        yield "power: receive_ma is at most peak_ma, and transmit_ms a part of awake_ms"
