"""Receipt sheets stay within what a device reads, and say what was to be said."""

import nacl.signing
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.engine.wire import signature_holds
from coordinator.ingest.receipts import ReceiptRow, Signer, sheets
from device_client.core import cbor, cose, light
from device_client.core.light import ROWS_MAX, SHEET_BYTES_MAX

U32_MAX, U64_MAX = 2**32 - 1, 2**64 - 1
KEY = nacl.signing.SigningKey(bytes(range(32)))
PUBLIC = bytes(KEY.verify_key)
GENESIS = bytes(32)
SIGNER = Signer(cose.signer_id(PUBLIC), GENESIS, lambda message: KEY.sign(message).signature)


def trust() -> light.Trust:
    """A device that holds the coordinator's certificate and has heard a beacon."""
    found = light.Trust(GENESIS, PUBLIC, signature_holds)
    certificate = light.Certificate(1, light.ROLE_COORDINATOR, PUBLIC, 0)
    found.accept_certificates(cbor.encode([SIGNER.envelope(cose.TYPE_OWNER, certificate.payload())]))
    found.newest = 0
    return found


rows = st.builds(
    ReceiptRow,
    st.integers(0, 20).map(lambda index: index.to_bytes(16, "big")),
    st.sampled_from([1, 23, 24, 255, 256, U32_MAX]),
    st.sampled_from([1, 300, 70_000, U32_MAX]),
    st.binary(min_size=8, max_size=8),
    st.integers(0, 63),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(rows, max_size=110), st.sampled_from([1, U32_MAX]), st.sampled_from([0, 10**6, U64_MAX]))
def test_every_row_once_in_order_on_sheets_that_a_device_accepts(
    found: list[ReceiptRow], incarnation: int, slot: int
) -> None:
    made, device = sheets(found, incarnation, slot, SIGNER), trust()
    assert [row for sheet in made for row in sheet.rows] == found
    for sheet in made:
        assert 0 < len(sheet.rows) <= ROWS_MAX and len(sheet.data) <= SHEET_BYTES_MAX
        accepted = device.accept_sheet(sheet.data)
        assert [ReceiptRow(*row) for row in accepted.rows] == sheet.rows  # type: ignore[arg-type]
        assert (accepted.incarnation, accepted.slot) == (incarnation, slot)
        assert sheet.devices == list(dict.fromkeys(row.device for row in sheet.rows))


def test_the_largest_rows_fit() -> None:
    largest = [ReceiptRow(bytes([index] * 16), U32_MAX, U32_MAX, b"\xff" * 8, 255) for index in range(100)]
    made = sheets(largest, U32_MAX, U64_MAX, SIGNER)
    assert max(len(sheet.data) for sheet in made) <= SHEET_BYTES_MAX
    assert sum(len(sheet.rows) for sheet in made) == 100


def test_ordinary_rows_fill_a_sheet() -> None:
    ordinary = [ReceiptRow(bytes([index] * 16), 3, 20, bytes(8), 0) for index in range(40)]
    first, second = sheets(ordinary, 1, 1000, SIGNER)
    assert len(first.rows) >= 28 and len(first.rows) + len(second.rows) == 40


def test_nothing_to_say() -> None:
    assert sheets([], 1, 1, SIGNER) == []
