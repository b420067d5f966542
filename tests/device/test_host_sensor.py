"""This machine as a sensor, on folders made to look like machines with and without what it measures."""

from pathlib import Path

import nacl.signing
import pytest

from device_client.core.outbox import Outbox
from device_client.provisioning import Provisioning
from device_client.runner import Runner, make_client
from device_client.sensors.host import HostSensor
from device_client.storage import FileStorage

MEMINFO = "MemTotal:        1000 kB\nMemFree:          100 kB\nMemAvailable:     400 kB\n"
GIVEN = Provisioning("mynet", bytes(32), bytes(32), bytes(32), "127.0.0.1", 1, 1)


def machine(folder: Path, zones: dict[str, str], meminfo: str = MEMINFO) -> HostSensor:
    proc, sys = folder / "proc", folder / "sys"
    proc.mkdir()
    if meminfo:
        (proc / "meminfo").write_text(meminfo)
    for name, text in zones.items():
        (sys / "class/thermal" / name).mkdir(parents=True)
        (sys / "class/thermal" / name / "temp").write_text(text)
    return HostSensor(proc, sys, folder)


def test_with_a_thermal_zone(tmp_path: Path) -> None:
    sensor = machine(tmp_path, {"thermal_zone0": "broken\n", "thermal_zone1": "48312\n"})
    assert sensor.channels == [
        ("cpu_temperature", "Cel", -2),
        ("load", "/", -2),
        ("memory_used", "%", -1),
        ("disk_used", "%", -1),
    ]
    temperature, load, memory, disk = sensor.read()
    assert (temperature, memory) == (4831, 600)
    assert load >= 0 and 0 <= disk <= 1000


def test_below_zero(tmp_path: Path) -> None:
    assert machine(tmp_path, {"thermal_zone0": "-1500\n"}).read()[0] == -150


def test_without_a_thermal_zone_or_memory(tmp_path: Path) -> None:
    sensor = machine(tmp_path, {}, meminfo="")
    assert [name for name, _, _ in sensor.channels] == ["load", "disk_used"]
    assert len(sensor.read()) == 2


def test_the_real_machine() -> None:
    sensor = HostSensor()
    values = sensor.read()
    assert len(values) == len(sensor.channels) and all(type(value) is int for value in values)


@pytest.mark.parametrize("loss", ["zone gone", "zone unreadable", "meminfo gone"])
def test_a_sensor_that_vanishes_is_counted_and_the_device_goes_on(tmp_path: Path, loss: str) -> None:
    sensor = machine(tmp_path, {"thermal_zone0": "48312\n"})
    zone = tmp_path / "sys/class/thermal/thermal_zone0/temp"
    if loss == "zone gone":
        zone.unlink()
    elif loss == "zone unreadable":
        zone.write_text("n/a\n")
    else:
        (tmp_path / "proc/meminfo").unlink()
    with pytest.raises(OSError, match=r"does not answer|No such file"):
        sensor.read()
    outbox = Outbox(FileStorage(tmp_path / "outbox.log"), 100)
    client = make_client(GIVEN, nacl.signing.SigningKey.generate(), outbox, sensor, 1)
    outbox.set_enrolled()
    runner = Runner(GIVEN, client, sensor)
    client.sample_due = lambda now: True  # type: ignore[method-assign]  # as if a report were due
    for now in (1000, 2000):
        assert runner.advance(now) == []
    assert client.counters["sensor_failed"] == 2
