"""A provisioning as one line of text, short enough for a QR code:

    edgetally:1?n=mynet&g=...&r=...&t=...&h=server.example&p=1883&b=60&c=1,60,2

n network, g genesis, r root key, t the token's secret seed (32 bytes each, base64url without padding), h and p where
the broker is, b seconds between two beacons, c the calendar (beacons of a batch, of an epoch, of the deadline), may be
missing. The order is fixed. Whoever reads the code can enrol devices for its owner.
"""

import base64
import binascii
import json
from urllib.parse import parse_qsl, quote, urlencode

SCHEME = "edgetally:1?"
CHARS_MAX = 1000
_KEYS = {"n": "network", "g": "genesis", "r": "root_key", "t": "token_seed", "h": "host", "p": "port"}
_KEYS |= {"b": "beacon_interval_s", "c": "calendar"}
_CALENDAR = ("batch_beacons", "epoch_beacons", "deadline_beacons")
_BINARY, _NUMBERS = ("g", "r", "t"), ("p", "b")


def to_uri(json_text: str) -> str:
    """The line for what `Provisioning.to_json` gives."""
    fields = json.loads(json_text)
    fields["calendar"] = ",".join(str(fields[name]) for name in _CALENDAR)
    if not any(fields[name] for name in _CALENDAR):
        del fields["calendar"]
    pairs = []
    for key, name in _KEYS.items():
        if name in fields:
            value = fields[name]
            if key in _BINARY:
                value = base64.urlsafe_b64encode(bytes.fromhex(value)).rstrip(b"=").decode()
            pairs.append((key, value))
    return SCHEME + urlencode(pairs, safe=",", quote_via=quote)


def from_uri(text: str) -> dict[str, object]:
    """The fields as JSON has them, for `load_provisioning` to check. Raises ValueError for another text."""
    text = text.strip()
    if not text.startswith(SCHEME) or len(text) > CHARS_MAX:
        raise ValueError(f"not a token: it begins with {SCHEME} and has at most {CHARS_MAX} characters")
    pairs = parse_qsl(text.removeprefix(SCHEME), strict_parsing=True, keep_blank_values=True, max_num_fields=len(_KEYS))
    if [key for key, _ in pairs] not in (list(_KEYS), list(_KEYS)[:-1]):
        raise ValueError(f"not a token: it has the keys {', '.join(_KEYS)}, in this order")
    fields: dict[str, object] = {}
    for key, value in pairs:
        if key in _BINARY:
            fields[_KEYS[key]] = _binary(key, value).hex()
        elif key == "c":
            numbers = [int(one) for one in value.split(",")]
            fields.update(zip(_CALENDAR, numbers, strict=True))
        else:
            fields[_KEYS[key]] = int(value) if key in _NUMBERS else value
    return fields


def _binary(key: str, value: str) -> bytes:
    try:
        data = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError(f"not a token: {key} is not base64url") from None
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != value:
        raise ValueError(f"not a token: {key} is not base64url")
    return data
