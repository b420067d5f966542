"""A provisioning as one line of text, short enough for a QR code:

    edgetally:1?n=mynet&g=...&r=...&t=...&h=server.example&p=1883&b=60&c=1,60,2

n network, g genesis, r root key, t the token's secret seed (32 bytes each, base64url without padding), h and p where
the broker is, b seconds between two beacons. Then what there is of: c the calendar (beacons of a batch, of an epoch, of
the deadline), m when it was made in unix seconds, s=1 the broker speaks TLS, a its certificate authority (DER,
base64url). The order is fixed. Whoever reads the code can enrol devices for its owner.
"""

import base64
import binascii
import json
from urllib.parse import parse_qsl, quote, urlencode

SCHEME = "edgetally:1?"
CHARS_MAX = 2_800  # a QR code holds 2,953 bytes
_KEYS = {"n": "network", "g": "genesis", "r": "root_key", "t": "token_seed", "h": "host", "p": "port"}
_KEYS |= {"b": "beacon_interval_s", "c": "calendar", "m": "made_s", "s": "tls", "a": "ca"}
_OPTIONAL = "cmsa"
_CALENDAR = ("batch_beacons", "epoch_beacons", "deadline_beacons")
_HEX, _NUMBERS = ("g", "r", "t"), ("p", "b", "m")


def to_uri(json_text: str) -> str:
    """The line for what `Provisioning.to_json` gives. Raises ValueError if it is too long."""
    fields = json.loads(json_text)
    calendar = [fields[name] for name in _CALENDAR]
    fields["calendar"] = ",".join(map(str, calendar)) if any(calendar) else ""
    fields["tls"] = "1" if fields.get("tls") else ""
    pairs = []
    for key, name in _KEYS.items():
        value = fields.get(name)
        if key in _HEX:
            value = _text(bytes.fromhex(value))
        elif key == "a" and value:
            value = _text(base64.b64decode(value))
        if value or key not in _OPTIONAL:
            pairs.append((key, value))
    line = SCHEME + urlencode(pairs, safe=",", quote_via=quote)
    if len(line) > CHARS_MAX:
        raise ValueError(f"a token of {len(line)} characters; one line has at most {CHARS_MAX}")
    return line


def from_uri(text: str) -> dict[str, object]:
    """The fields as JSON has them, for `load_provisioning` to check. Raises ValueError for another text."""
    text = text.strip()
    if not text.startswith(SCHEME) or len(text) > CHARS_MAX:
        raise ValueError(f"not a token: it begins with {SCHEME} and has at most {CHARS_MAX} characters")
    pairs = parse_qsl(text.removeprefix(SCHEME), strict_parsing=True, keep_blank_values=True, max_num_fields=len(_KEYS))
    given = [key for key, _ in pairs]
    if given != [key for key in _KEYS if key in given or key not in _OPTIONAL]:
        raise ValueError(f"not a token: it has the keys {', '.join(_KEYS)}, in this order")
    fields: dict[str, object] = {}
    for key, value in pairs:
        if key in _HEX:
            fields[_KEYS[key]] = _binary(key, value).hex()
        elif key == "a":
            fields["ca"] = base64.b64encode(_binary(key, value)).decode()
        elif key == "s":
            fields["tls"] = {"1": True}.get(value)
        elif key == "c":
            fields.update(zip(_CALENDAR, map(int, value.split(",")), strict=True))
        else:
            fields[_KEYS[key]] = int(value) if key in _NUMBERS else value
    return fields


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _binary(key: str, value: str) -> bytes:
    """Raises ValueError for another writing of the same bytes, too."""
    try:
        data = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        data = b""
    if not data or _text(data) != value:
        raise ValueError(f"not a token: {key} is not base64url")
    return data
