"""From the provisioning to a device that is ready to run.

`main.py` drops this module when it is done, so nothing that stays may be a function of this file: it would hold it all.
"""

import board
import ed25519
import identity
import link
import shell
from device_client.core import client, cose, outbox, secret, statement


PROOFS_HEAP_MIN = 32_768  # a device with less asks for no proofs: it could not hold an answer


def ready(given):
    """The shell for what `provisioning.load` returned. Raises OSError, and ValueError, if the state cannot be used."""
    network, genesis, root_key, token_seed, host, port, interval_s, beacon_s, folder, public = given[:10]
    retry_ms, records = given[10:12]
    board.make_folder(folder)
    seed, log = identity.opened(folder, lambda storage: outbox.Outbox(storage, records), board)
    del board.make_folder
    public_key = ed25519.public_key(seed)
    config = client.Config(
        network,
        genesis,
        root_key,
        public_key,
        ed25519.public_key(token_seed),
        ed25519.sign(token_seed, statement.token_message(genesis, public_key)),
        interval_s,
        beacon_s,
        board.CHANNELS,
        public,
        retry_ms=retry_ms,
        calendar=given[-3:] if board.heap_free() >= PROOFS_HEAP_MIN else (0, 0, 0),
    )
    now_ms = shell.Counter(board).now_ms
    client.IN_FLIGHT_MAX = shell.IN_FLIGHT_MAX
    device = client.Client(config, log, shell.signer(seed), ed25519.verify, board.random, now_ms())
    if device.asker is not None:
        device.asker.judged = shell.forget_proofs
    link.Link.packet_bytes_max = 2_048  # a sheet or a beacon has 1 KiB at most, fifteen certificates fit
    name = cose.signer_id(public_key).hex()
    connection = link.Link(
        host,
        port,
        name,
        name,
        secret.broker_password(token_seed, device.device_id),
        (device.keys_topic, device.down_topic, device.beacon_topic),
        None,
    )
    return shell.Shell(device, connection, board, now_ms)
