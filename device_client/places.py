"""The place that a device enrols with: a cell of H3 (https://h3geo.org), and none so small that it points at a house.

A place stands in the published statements for ever, so what is finer is refused here, before anything is signed. The
check needs no library: an H3 index is 1 bit of 0, 4 of the mode (1), 3 of 0, 4 of the resolution, 7 of the base cell
and 15 digits of 3 bits, those behind the resolution all ones.
"""

import re

FINEST = 5  # about 20 km across, the finest that a map draws
BASE_CELLS, DIGITS, UNUSED = 122, 15, 7
ACCEPTED = f"an H3 cell of resolution {FINEST} or coarser (15 hex digits), or latitude,longitude if h3 is installed"
_CELL = re.compile("[0-9a-f]{15}")
_POINT = re.compile(r"(-?[0-9]{1,2}(?:\.[0-9]*)?), ?(-?[0-9]{1,3}(?:\.[0-9]*)?)")


def parsed(text: str) -> int:
    """A cell as it goes into an enrolment; of a point, the cell of FINEST around it. Raises ValueError."""
    if point := _POINT.fullmatch(text):
        latitude, longitude = float(point[1]), float(point[2])
        if abs(latitude) > 90 or abs(longitude) > 180:
            raise ValueError(f"{text} is no place on earth")
        return _around(latitude, longitude)
    if not _CELL.fullmatch(text) or not is_cell(int(text, 16)):
        raise ValueError(f"{text!r:.40} is not accepted; it must be {ACCEPTED}")
    cell = int(text, 16)
    if resolution(cell) > FINEST:
        raise ValueError(f"{text} is finer than resolution {FINEST}, and would be public for ever")
    return cell


def is_cell(number: int) -> bool:
    """Whether a number has the form of a cell. The few numbers of that form that name none are not told apart."""
    digits = [number >> 3 * (DIGITS - place) & UNUSED for place in range(1, DIGITS + 1)]
    used = digits[: resolution(number)]
    has_form = number >> 56 == 0x08 and number >> 45 & 0x7F < BASE_CELLS
    return has_form and UNUSED not in used and set(digits[len(used) :]) <= {UNUSED}


def resolution(cell: int) -> int:
    return cell >> 52 & 0xF


def _around(latitude: float, longitude: float) -> int:
    try:
        from h3.api import basic_int as h3
    except ImportError:
        raise ValueError("for a latitude and longitude run: pip install h3; or give the cell itself") from None
    return int(h3.latlng_to_cell(latitude, longitude, FINEST))
