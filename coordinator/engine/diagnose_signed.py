"""An envelope whose signature does not hold: which field of it was changed.

Every field whose value is known from elsewhere, or lies in a short range, is put back in turn; the one under which the
signature holds again was changed. When none does, it was the signature, or a field that nothing else tells.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from device_client.core import cbor, cose

from . import wire
from .repair import Fault, part_of
from .wire import Refused

Path = tuple[int, ...]  # of a field in nested arrays


def envelope_fault(
    data: bytes,
    envelope_type: str,
    genesis: bytes,
    keys: Sequence[bytes],
    kids: Iterable[bytes],
    fields: Mapping[str, tuple[Path, Iterable[Any]]],
    unsure: Callable[[Any], str] = lambda payload: "",
) -> Fault | None:
    """None when one of the keys signed it. `fields` gives each field's place in the payload and what it may have been;
    `unsure(payload)` names a field that nothing tells, where something speaks against it."""
    try:
        signed = wire.envelope(data, envelope_type, genesis)
        payload = wire.decoded(signed.payload)
    except Refused as error:
        return Fault("envelope", str(error))
    aad = cose.external_aad(envelope_type, genesis)
    own = {cose.signer_id(key) for key in keys}

    def by_a_key(kid: bytes, encoded: bytes) -> bool:
        message = cose.signed_bytes(kid, aad, encoded)
        return any(wire.signature_holds(key, message, signed.signature) for key in keys)

    if by_a_key(signed.kid, signed.payload):
        return None if signed.kid in own else Fault("kid", "it names another signer than the one who signed it")
    places = {name: path for name, (path, _) in fields.items()}

    def holds(name: str, value: Any) -> bool:
        if name == "kid":
            return by_a_key(value, signed.payload)
        try:
            return by_a_key(signed.kid, cbor.encode(_with(payload, places[name], value)))
        except (IndexError, TypeError, ValueError):
            return False

    candidates: dict[str, Iterable[Any]] = {"kid": list(kids)}
    candidates.update({name: values for name, (_, values) in fields.items()})
    if part := part_of(candidates, holds):
        return Fault(part, "bad signature; it holds with another one")
    if part := unsure(payload):
        return Fault(part, "bad signature, and nothing else knows this one")
    return Fault("signature", "bad signature, and what it signs is not contradicted")


def _with(payload: Any, path: Path, value: Any) -> Any:
    changed = list(payload)
    changed[path[0]] = _with(payload[path[0]], path[1:], value) if len(path) > 1 else value
    return changed
