"""The partition table against the format as the ESP-IDF describes it, and what a boot loader would refuse."""

import hashlib

import pytest

from firmware.flashing.partitions import (
    APP,
    DATA,
    FLASH_BYTES_MIN,
    LAYOUT,
    SECTOR_BYTES,
    Partition,
    TableError,
    check,
    named,
    parsed,
    table,
)


def test_the_layout_is_stock_micropython_s_with_an_outbox_at_the_end() -> None:
    made = table()
    assert len(made) == SECTOR_BYTES and parsed(made) == LAYOUT == parsed(table(bytes(range(32))))
    assert table(bytes(range(32)))[:0xC00] == made[:0xC00]  # all that the boot loader reads
    # ports/esp32/partitions-4MiB.csv of MicroPython: what its image was linked and tested with.
    stock = {"nvs": (0x9000, 0x6000), "phy_init": (0xF000, 0x1000), "factory": (0x10000, 0x1F0000)}
    assert {one.label: (one.address, one.size) for one in LAYOUT[:3]} == stock
    vfs, outbox = named("vfs"), named("outbox")
    assert vfs.address == 0x200000 and vfs.end == outbox.address and outbox.end == FLASH_BYTES_MIN


def test_the_bytes_are_those_of_the_esp_idf() -> None:
    made = table()
    # "Partition Tables", ESP-IDF: magic 0xAA50, type, subtype, offset, size, label; the MD5 entry begins with 0xEBEB.
    assert made[:32] == bytes.fromhex("aa50 01 02 00900000 00600000") + b"nvs".ljust(16, b"\0") + bytes(4)
    at = 32 * len(LAYOUT)
    assert made[at : at + 16] == b"\xeb\xeb" + b"\xff" * 14
    assert made[at + 16 : at + 32] == hashlib.md5(made[:at]).digest()
    assert set(made[at + 32 :]) == {0xFF}


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        ((), "0 partitions"),
        (LAYOUT + (Partition("more", DATA, 0x41, 0x3F0000, 0x1000),), "more: at 0x3f0000 lies over"),
        ((Partition("nvs", DATA, 2, 0x8000, 0x1000),), "nvs: at 0x8000 lies over what ends at 0x9000"),
        ((Partition("app", APP, 0, 0x18000, 0x1000),), "app: begins on 0x10000"),
        ((Partition("data", DATA, 0x40, 0x9100, 0x1000),), "data: begins on 0x1000"),
        ((Partition("data", DATA, 0x40, 0x10000, 0x1100),), "fills sectors"),
        ((Partition("data", DATA, 0x40, 0x3F0000, 0x20000),), "ends at 0x410000, the flash at 0x400000"),
        ((Partition("a" * 16, DATA, 0x40, 0x10000, 0x1000),), "1 to 15 bytes"),
        ((Partition("a", DATA, 2, 0x9000, 0x1000), Partition("a", DATA, 2, 0xA000, 0x1000)), "two partitions"),
        (tuple(Partition(f"p{i}", DATA, 2, 0x10000 + 0x1000 * i, 0x1000) for i in range(96)), "96 partitions"),
    ],
)
def test_what_would_not_boot_is_refused(layout: tuple[Partition, ...], said: str) -> None:
    with pytest.raises(TableError, match=said):
        check(layout, FLASH_BYTES_MIN)


def test_a_foreign_table_is_refused() -> None:
    made = bytearray(table())
    made[5] ^= 1
    with pytest.raises(TableError, match="MD5"):
        parsed(bytes(made))
    for data in (b"", b"\xff" * SECTOR_BYTES, bytes(SECTOR_BYTES), table()[:70]):
        with pytest.raises(TableError, match="not one"):
            parsed(data)
    with pytest.raises(TableError, match="no outbox"):
        named("outbox", LAYOUT[:3])
