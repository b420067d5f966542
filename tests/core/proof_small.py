"""Runs on MicroPython in a small heap, from bytecode: pieces become an answer, the signature and the chain are checked.

Arguments: the file of vectors, how often. Prints the milliseconds of the fastest check and the bytes that a check left
and used, then what was proved.
"""

import gc
import json
import sys
import time

import ed25519

gc.collect()
from device_client.core import asking, cose, light, proofs, questions  # noqa: E402

COORDINATOR = 1  # the role; bytecode for a board holds no names of constants
NAME = "100,000 devices and 3,000,000 batches"


def vector(path):
    """(question, answer, device id, calendar, trust) and nothing else of the file, line by line."""
    found = {}
    with open(path) as file:
        here = False
        for line in file:
            line = line.strip()
            key = line.split('"')[1] if line.startswith('"') else ""
            if key in ("genesis", "root_key", "coordinator_key", "device_id"):
                found[key] = bytes.fromhex(line.split('"')[3])
            if key == "name":
                here = NAME in line
            elif here and key in ("question", "hex"):
                found[key] = bytes.fromhex(line.split('"')[3])
    trust = light.Trust(found["genesis"], found["root_key"], ed25519.verify)
    trust.coordinators.append(light.Certificate(1, COORDINATOR, found["coordinator_key"], 0))
    return questions.parsed(found["question"]), found["hex"], found["device_id"], trust


def main(path, rounds):
    question, answer, device_id, trust = vector(path)
    pieces = questions.pieces(question, answer)
    del answer
    calendar = asking.Calendar(2, 8, 4)
    fastest_us, row, used = 1 << 30, None, 0
    for _ in range(rounds):
        gc.collect()
        before = gc.mem_alloc()
        started = time.ticks_us()
        gathered = asking.Gathered()
        for piece in pieces:
            whole = gathered.add(asking.parse_piece(piece))
        payload = trust.signed_at(whole, cose.TYPE_PROOF, 0)
        row = proofs.checked(payload, question, device_id, calendar, b"")
        fastest_us = min(fastest_us, time.ticks_diff(time.ticks_us(), started))
        used = max(used, gc.mem_alloc() - before)
        whole = payload = gathered = None
    print(json.dumps({"ms": fastest_us / 1000, "used": used, "pieces": [len(one) for one in pieces], "paid": row[6]}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
