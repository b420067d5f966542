"""From the provisioning to a device that is ready to run.

`main.py` drops this module when it is done, so nothing that stays may be a function of this file: it would hold it all.
"""

import gc
import sys

import ed25519
import link
import shell
from device_client.core import client, cose, secret, statement


PROOFS_HEAP_MIN = 32_768  # a device with less asks for no proofs: it could not hold an answer


def ready(given):
    """The shell for what `provisioning.load` returned, with its state in files. Raises OSError, and ValueError, if the
    state cannot be used."""
    import board
    import identity
    from device_client.core import outbox

    folder, records = given[8], given[11]
    board.make_folder(folder)
    seed, log = identity.opened(folder, lambda storage: outbox.Outbox(storage, records), board)
    del board.make_folder, identity
    sys.modules.pop("identity")
    gc.collect()
    return device(given, seed, log, board, board.CHANNELS, shell.Counter(board).now_ms)


def device(given, seed, log, board, channels, now_ms, resume=b""):
    """The shell of a device with this key and this outbox; `resume` is what a deep sleep has left."""
    network, genesis, root_key, token_seed, host, port, interval_s, beacon_s, _, public, retry_ms = given[:11]
    public_key = ed25519.public_key(seed)
    gc.collect()
    config = client.Config(
        network,
        genesis,
        root_key,
        public_key,
        ed25519.public_key(token_seed),
        ed25519.sign(token_seed, statement.token_message(genesis, public_key)),
        interval_s,
        beacon_s,
        channels,
        public,
        retry_ms=retry_ms,
        calendar=given[-3:] if board.heap_free() >= PROOFS_HEAP_MIN else (0, 0, 0),
    )
    client.IN_FLIGHT_MAX = shell.IN_FLIGHT_MAX
    made = client.Client(config, log, shell.signer(seed), ed25519.verify, board.random, now_ms(), resume)
    if made.asker is not None:
        made.asker.judged = shell.forget_proofs  # type: ignore[method-assign]
    link.Link.packet_bytes_max = 2_048  # a sheet or a beacon has 1 KiB at most, fifteen certificates fit
    name = cose.signer_id(public_key).hex()
    connection = link.Link(
        host,
        port,
        name,
        name,
        secret.broker_password(token_seed, made.device_id),
        (made.keys_topic, made.down_topic, made.beacon_topic),
        None,
        ssl=trusting(given[13]) if given[12] else None,
    )
    return shell.Shell(made, connection, board, now_ms, token_seed)


def trusting(ca):
    """A TLS context that believes one CA and the server's name. `ca` is DER; empty: that of `edgetally flash`."""
    import tls  # what `ssl` is made of

    if not ca:
        with open("/ca.der", "rb") as file:
            ca = file.read()
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.verify_mode = tls.CERT_REQUIRED  # type: ignore[attr-defined]
    try:
        context.load_verify_locations(ca)
    except ValueError:
        raise ValueError("ca: not a certificate in DER")
    return context
