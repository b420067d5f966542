"""What the operator gives a device, as JSON: where the network is, what to pin, the token to enrol with.

Needed at the start only: `main.py` drops it then. Its table is a text, because names would stay for ever.
"""

import json
from binascii import a2b_base64, unhexlify

# key, kind (hex or base64 bytes, text, integer, flag), low, high, and what stands for a missing key.
_KEYS = """network text 1 32
genesis hex 32 32
root_key hex 32 32
token_seed hex 32 32
host text 1 255
port integer 1 65535
interval_s integer 1 86400
beacon_interval_s integer 1 3600
state_dir text 1 255
readings_public flag 0 0 true
retry_ms integer 100 300000 5000
records_max integer 1 4096 64
tls flag 0 0 false
ca base64 0 4096 ""
made_s integer 0 2147483647 0
batch_beacons integer 0 1000000 0
epoch_beacons integer 0 1000000 0
deadline_beacons integer 0 1000000 0"""


class Refused(Exception):
    """Its text names the file, the key and what is accepted."""


def load(path, **instead):
    """The values of all keys in the order above, hex as bytes; `instead` replaces those of the file. Raises
    Refused."""
    try:
        with open(path) as file:
            fields = json.load(file)
    except (OSError, ValueError) as trouble:
        raise Refused("%s: cannot be read as JSON (%s)" % (path, trouble))
    if not isinstance(fields, dict):
        raise Refused(path + ": not a JSON object")
    fields.update(instead)
    given = []
    for line in _KEYS.split("\n"):
        key, kind, first, last, *default = line.split(" ")
        low, high = int(first), int(last)
        value = fields.get(key, json.loads(default[0]) if default else None)
        try:
            given.append(_accepted(value, kind, low, high))
        except ValueError:
            missing = "is not accepted" if key in fields else "is missing"
            raise Refused("%s: %s %s; it must be %s" % (path, key, missing, _range(kind, low, high)))
    return given


def _accepted(value, kind, low, high):
    if kind == "flag":
        if isinstance(value, bool):
            return value
    elif kind == "integer":
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
    elif isinstance(value, str):
        if kind == "hex":
            value = unhexlify(value)
        elif kind == "base64":
            value = a2b_base64(value)
        if low <= len(value) <= high:
            return value
    raise ValueError


def _range(kind, low, high):
    if kind == "flag":
        return "true or false"
    if kind == "integer":
        return "an integer from %d to %d" % (low, high)
    if kind == "base64":
        return "up to %d bytes in base64" % high
    return "%d hex digits" % (2 * high) if kind == "hex" else "a text of %d to %d characters" % (low, high)
