"""The simulated board: a dump that a real MicroPython starts from, with flash, NVS and resets as an ESP32 has them."""

import asyncio
import json

import pytest

from tests.firmware.board_parts import FLASH_BYTES, PARTITIONS, Kept, dump

LABELS = list(PARTITIONS)


def run(path, program, scenario=None, **board_settings):
    """What a program printed as /main.py until the board stays off, and how its runs ended."""
    dump(path, {"main.py": program.encode()})
    if scenario is not None:
        file = path.with_suffix(".json")
        file.write_text(json.dumps(scenario))
        scenario = file

    async def life():
        async with Kept(path, scenario, **board_settings) as board:
            return await board.off(), list(board.said)

    return asyncio.run(life())


def test_partitions_are_read_from_the_table_and_flash_is_nor(tmp_path):
    ends, said = run(
        tmp_path / "flash.bin",
        """
import esp32, json, vfs
from esp32 import Partition
ring = Partition.find(Partition.TYPE_DATA, label="outbox")[0]
print(json.dumps([one.info() for kind in (0, 1) for one in Partition.find(kind)]))
held = bytearray(4)
ring.writeblocks(1, b"\\xf0\\x0f\\xff\\x00", 10)
ring.writeblocks(1, b"\\x3c\\x3c\\x3c\\x3c", 10)
ring.readblocks(1, held, 10)
print(bytes(held))
ring.ioctl(6, 1)
ring.readblocks(1, held, 10)
print(bytes(held), ring.ioctl(4, 0), ring.ioctl(5, 0))
ring.writeblocks(2, bytes(4096))
for block, offset in ((16, 0), (15, 4093), (-1, 0)):
    try:
        ring.readblocks(block, held, offset)
        print("read outside")
    except OSError as error:
        print(error.errno)
with open("/file", "w") as file:
    file.write("kept")
print(open("/file").read(), "main.py" in __import__("os").listdir("/"))
""",
    )
    assert ends == ["prompt"]
    lines = said[1:]
    infos = {one[4]: tuple(one[:4]) for one in json.loads(lines[0])}
    assert infos == PARTITIONS
    assert lines[1] == repr(bytes([0x30, 0x0C, 0x3C, 0]))
    assert lines[2] == r"b'\xff\xff\xff\xff' 16 4096"
    assert lines[3:7] == ["-258", "-258", "-258", "kept True"]
    image = (tmp_path / "flash.bin").read_bytes()
    assert len(image) == FLASH_BYTES and image[0xA2000:0xA3000] == bytes(4096)


def test_what_a_reset_a_deep_sleep_and_a_watchdog_leave(tmp_path):
    ends, said = run(
        tmp_path / "flash.bin",
        """
import machine
memory = machine.RTC().memory()
print(machine.reset_cause(), memory)
machine.RTC().memory(memory + b"x")
try:
    if len(memory) == 0:
        machine.reset()
    if len(memory) == 1:
        machine.deepsleep(1500)
    if len(memory) == 2:
        machine.WDT(timeout=100)
        while True:
            pass
    if len(memory) == 3:
        machine.soft_reset()
finally:
    print("unwound")
""",
    )
    assert ends == ["reset", "deep sleep", "watchdog", "soft reset", "prompt"]
    told = [line for line in said if line[:1].isdigit()]
    assert told == ["1 b''", "5 b'x'", "4 b'xx'", "3 b'xxx'", "5 b'xxxx'"]
    assert said.count("unwound") == 2  # only a soft reset lets the program end


def test_nvs_keeps_what_was_committed_through_power_cuts(tmp_path):
    path = tmp_path / "flash.bin"
    program = """
import esp32
nvs = esp32.NVS("edgetally")
try:
    print("held", nvs.get_i32("count"), end=" ")
    key = bytearray(40)
    print(key[:nvs.get_blob("key", key)])
except OSError as error:
    print(error.errno)
nvs.set_blob("key", bytes(range(32)))
nvs.set_i32("count", -5)
count = 0
while True:
    count += 1
    nvs.set_i32("count", count)
    nvs.commit()
    print("committed", count)
"""
    dump(path, {"main.py": program.encode()})

    async def life():
        async with Kept(path) as board:
            assert await board.until(lambda line: line.startswith(("-", "held"))) == "-4354"
            for cut in range(6):
                await board.until(lambda line, cut=cut: line == f"committed {20 + cut}")
                await board.cut_power()
                done = max(int(line.split()[1]) for line in board.said if line.startswith("committed "))
                board.said.clear()
                await board.power_on()
                held = await board.until(lambda line: line.startswith("held"))
                assert int(held.split()[1]) in (done, done + 1)
                assert held.endswith(repr(bytearray(range(32))))

    asyncio.run(life())


def test_what_is_not_committed_is_lost(tmp_path):
    ends, said = run(
        tmp_path / "flash.bin",
        """
import esp32, machine
nvs = esp32.NVS("a")
if machine.reset_cause() == 1:
    nvs.set_i32("kept", 7)
    nvs.commit()
    nvs.set_i32("kept", 8)
    esp32.NVS("b").set_i32("other", 9)
    machine.reset()
print(nvs.get_i32("kept"))
nvs.erase_key("kept")
for wrong in (lambda: nvs.get_i32("kept"), lambda: nvs.get_i32("x"), lambda: esp32.NVS("b").get_i32("other"),
              lambda: nvs.set_i32("k" * 16, 1), lambda: nvs.set_i32("k", 1 << 31),
              lambda: nvs.set_blob("b", bytes(20000)) or nvs.commit()):
    try:
        wrong()
        print("no error")
    except Exception as error:
        print(type(error).__name__, error.args[0])
""",
    )
    assert ends == ["reset", "prompt"]
    told = said[2:-2]
    assert told[0] == "7"
    assert told[1:5] == ["OSError -4354"] * 3 + ["OSError -4356"]
    assert told[5].startswith("OverflowError") and told[6] == "OSError -4357"


@pytest.mark.parametrize(
    ("damage", "end", "words"),
    [
        ("table", "no boot", "MD5 does not match"),
        ("no table", "no boot", "partition table: empty"),
        ("vfs", "corrupt", "The filesystem appears to be corrupted."),
        ("empty vfs", "prompt", "Performing initial setup"),
    ],
)
def test_a_damaged_flash_ends_as_stock_firmware_does(tmp_path, damage, end, words):
    path = dump(tmp_path / "flash.bin", {"main.py": b"print('started')"})
    image = bytearray(path.read_bytes())
    at, size = PARTITIONS["vfs"][2:]
    if damage == "table":
        image[0x8000 + 8] ^= 1
    elif damage == "no table":
        image[0x8000:0x9000] = b"\xff" * 4096
    elif damage == "vfs":
        image[at : at + 8192] = bytes(8192)
    else:
        image[at : at + size] = b"\xff" * size
    path.write_bytes(image)

    async def life():
        async with Kept(path) as board:
            return await board.off(), list(board.said)

    ends, said = asyncio.run(life())
    assert ends == [end] and any(words in line for line in said) and "started" not in said


AIR = {
    "wifi": [
        {"ssid": "home", "password": "right", "until_ms": 600, "rssi": -70},
        {"ssid": "open"},
    ],
    "connect_ms": 30,
    "pins": {"0": [[0, 0], [100, 1]]},
    "adc_uv": {"34": 1650000},
}


def test_the_air_is_as_the_scenario_says(tmp_path):
    ends, said = run(
        tmp_path / "flash.bin",
        """
import machine, network, socket, time
def status(ssid, password):
    wlan.disconnect()
    wlan.connect(ssid, password)
    while wlan.status() == network.STAT_CONNECTING:
        time.sleep_ms(5)
    return wlan.status()
print(machine.Pin(0, machine.Pin.IN).value(), machine.ADC(machine.Pin(34)).read_uv())
wlan = network.WLAN(network.WLAN.IF_STA)
try:
    wlan.connect("home", "right")
except OSError as error:
    print(error)
wlan.active(True)
wlan.config(reconnects=0)
print(sorted([one[0] for one in wlan.scan()]))
print(status("nowhere", ""), status("home", "wrong"), status("home", "right"), wlan.status("rssi"))
print(bool(socket.getaddrinfo("127.0.0.1", 1)))
while wlan.isconnected():
    time.sleep_ms(5)
print(wlan.status(), machine.Pin(0, machine.Pin.IN).value())
try:
    socket.getaddrinfo("127.0.0.1", 1)
except OSError as error:
    print(error.errno)
print(status("open", ""))
""",
        AIR,
    )
    assert ends == ["prompt"]
    assert said[1:-2] == [
        "0 1650000",
        "Wifi Not Started",
        "[b'home', b'open']",
        "201 202 1010 -70",
        "True",
        "200 1",
        "-202",
        "1010",
    ]


def test_devices_are_put_on_the_buses(tmp_path):
    devices = tmp_path / "devices.py"
    devices.write_text(
        """
import machine
class Registers:
    def __init__(self):
        self.held = bytearray(range(16))
        self.at = 0
    def write(self, data):
        self.at = data[0]
        self.held[self.at : self.at + len(data) - 1] = data[1:]
    def read(self, length):
        return bytes(self.held[self.at : self.at + length])
class Talker:
    def __init__(self):
        self.lines = [b"one\\ntwo", b"\\n" + bytes(400)]
    def incoming(self):
        return self.lines.pop(0) if self.lines else b""
    def write(self, data):
        self.lines.append(data)
machine.attach_i2c(0, 0x76, Registers())
machine.attach_uart(1, Talker())
"""
    )
    ends, said = run(
        tmp_path / "flash.bin",
        """
import machine
i2c = machine.I2C(0, scl=machine.Pin(22), sda=machine.Pin(21))
print(i2c.scan(), i2c.readfrom_mem(0x76, 4, 3))
i2c.writeto_mem(0x76, 5, b"\\xaa")
print(i2c.readfrom_mem(0x76, 4, 3))
try:
    i2c.readfrom(0x77, 1)
except OSError as error:
    print(error.errno)
uart = machine.UART(1, 9600, rx=16, tx=17)
print(uart.readline(), uart.readline(), uart.any(), uart.read(2), uart.any())
counted = []
machine.Pin(4, machine.Pin.IN).irq(counted.append, machine.Pin.IRQ_FALLING)
machine.Pin.edges(4, 3)
machine.Pin.edges(4, 2, machine.Pin.IRQ_RISING)
print(len(counted))
""",
        {"attach": [str(devices)]},
    )
    assert ends == ["prompt"]
    assert said[1:-2] == [
        r"[118] b'\x04\x05\x06'",
        r"b'\x04\xaa\x06'",
        "19",
        r"b'one\n' b'two\n' 248 b'\x00\x00' 246",
        "3",
    ]
