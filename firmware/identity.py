"""Who this device is: a key that is born here and never leaves, and the outbox that belongs to it.

Key and outbox stay together, because the outbox holds the boot counter. A key whose counter is gone must not speak
again, or the device would look like a copy of itself: both are put aside and the device begins anew, with another key.
"""

from storage import Storage, write_durably

_KEY_BYTES = 32


def opened(folder, new_outbox, board):
    """(seed, outbox) of the device whose state is in `folder`; `new_outbox(storage)` makes the outbox.

    The seed is durable on return. Raises OSError, and ValueError if the key file is no key.
    """
    key_path, log_path = folder + "/device.key", folder + "/outbox.log"
    if board.size_of(key_path) >= 0 and board.size_of(log_path) >= 0:
        storage = Storage(log_path, board)
        outbox = new_outbox(storage)
        if not outbox.lost:
            return _seed(key_path, board), outbox
        storage._file.close()
    # A power cut between these steps leaves one file without the other, which leads here again.
    for path in (key_path, log_path):
        if board.size_of(path) >= 0:
            _put_aside(path, board)
    seed = board.random(_KEY_BYTES)
    write_durably(key_path + ".new", (seed,), board)
    board.rename(key_path + ".new", key_path)
    # Making the log syncs the folder, and with it the name of the key.
    return seed, new_outbox(Storage(log_path, board))


def _seed(path, board):
    with board.open(path, "rb") as file:
        seed = file.read()
    if len(seed) != _KEY_BYTES:
        raise ValueError(path + ": not a key of 32 bytes; move it away and the device enrols with a new one")
    return seed


def _put_aside(path, board):
    number = 1
    while board.size_of("%s.lost-%d" % (path, number)) >= 0:
        number += 1
    board.rename(path, "%s.lost-%d" % (path, number))
