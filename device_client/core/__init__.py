"""The portable core: the same files run on CPython and on MicroPython.

Sans-IO: nothing here opens a socket, reads a file or asks for the time. Bytes and milliseconds come in, bytes and
actions go out. Only `struct`, `hashlib` and `binascii` are imported. Keys are reached through two callables,
`sign(message) -> signature` and `verify(public, message, signature) -> bool`, so that PyNaCl serves here and
`firmware/lib/ed25519.py` there.

    cbor       deterministic CBOR, the subset that the wire uses
    cose       the signed envelope (COSE_Sign1) and its identity
    statement  what a device says: claims, enrolment, report, readings
    received   the same taken apart again, for whoever is not a device
    verdicts   the closed enum of outcomes; `codes` are the few that a device acts on
    merkle     RFC 6962 tree hashes
    light      what a device checks: certificates, beacons, receipt sheets
    outbox     statements that wait for a receipt, durable before they are sent, in a file
    ring       the same in a flash partition of its own; `pending` is what both share
    client     the light client itself: received / tick -> messages to publish
"""
