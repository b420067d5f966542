"""Sets of presence windows as bitmaps (big-endian bytes, bit i = window i), a value that stores well."""


def marked(bitmap: bytes, indices: list[int]) -> bytes:
    value = int.from_bytes(bitmap, "big")
    for index in indices:
        value |= 1 << index
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def marks(bitmap: bytes) -> int:
    """How many windows are set."""
    return int.from_bytes(bitmap, "big").bit_count()
