"""Runs on CPython and on MicroPython: decode each line of hex on stdin from scratch, print what came out of it.

The lines start with the chunk size in bytes; each decoder takes packets of at most 16 bytes behind the header.
"""

import sys

import mqtt_packets

# What the numbers of `Malformed` mean; the comments in the decoder say the same.
REASONS = (
    "packet type",
    "remaining length",
    "publish flags",
    "suback",
    "flags or length",
    "topic length",
    "topic text",
    "topic characters",
    "connack flags",
    "no topic",
    "packet id",
)


def decode(data, chunk_bytes, packet_bytes_max=16, body=None):
    """The packets in `data`, then the reason why the decoder gave up, if it did; at most `chunk_bytes` a read."""
    decoder = mqtt_packets.Decoder(packet_bytes_max, body)
    found = []
    at = 0
    while at < len(data):
        window = decoder.window()
        count = min(len(window), chunk_bytes, len(data) - at)
        window[:count] = data[at : at + count]
        at += count
        try:
            packet = decoder.received(count)
        except mqtt_packets.Malformed as malformed:
            found.append(REASONS[malformed.args[0]])
            break
        if packet is not None:
            found.append(packet)
    return found


def shown(row):
    """Not repr: the two interpreters quote and escape differently."""
    if isinstance(row, str):
        return row
    kind, packet_id, codes, topic, payload = row
    return f"{kind},{packet_id},{codes.hex()},{topic.encode().hex()},{payload.hex()}"


def main():
    for line in sys.stdin:
        chunk_bytes, data = line.split(":")
        print(";".join(shown(row) for row in decode(bytes.fromhex(data.strip()), int(chunk_bytes))))


if __name__ == "__main__":
    main()
