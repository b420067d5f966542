"""First contact with a broker that has a password file: it knows tokens, and no device before that has enrolled.

The link connects with the token's own credential, which may publish enrolments to a topic of its own and nothing else,
until a receipt has come or the time is over; then it is the device's again. `shell.py` imports this when the broker has
refused the device, and forgets it afterwards.
"""

import mqtt_packets
from device_client.core import client as core
from device_client.core import secret

ANSWER_MS = 10_000  # from the connection to the receipt
TOTAL_MS = 60_000


class Contact:
    """`wake` is set when something has come."""

    def __init__(self, client, link, token_seed, wake, now_ms):
        self._client = client
        self._link = link
        self._wake = wake
        self._now_ms = now_ms
        self._until_ms = now_ms + TOTAL_MS
        self._connected = False
        self._sent = b""
        self._receipts = client.counters.get("receipts_verified", 0)
        username, password = secret.token_login(token_seed, client.config.token_key, client.device_id)
        self._topic = core.enroll_topic(client.config.network, username)
        self._callbacks = link.on_connect, link.received
        link.on_connect, link.received = self._linked, self._received
        topics = client.keys_topic, self._topic + "/down", client.beacon_topic
        self._before = link.login(mqtt_packets.connect(username, username, password, 60), topics)

    def _linked(self):
        self._connected = True
        self._wake.set()

    def _received(self, topic, payload):
        client = self._client
        client.received(client.down_topic if topic == self._topic + "/down" else topic, payload, self._now_ms)
        self._wake.set()

    async def step(self, now_ms):
        """Say what there is to say; False when the contact is over and the link is the device's own again."""
        self._now_ms = now_ms
        client, link = self._client, self._link
        if self._connected:
            self._connected = False
            self._sent = b""
            self._until_ms = min(self._until_ms, now_ms + ANSWER_MS)
        if client.counters.get("receipts_verified", 0) == self._receipts and now_ms < self._until_ms:
            if link.connected:
                enrolment = client.first_contact(now_ms)
                if enrolment and enrolment != self._sent and await link.publish(self._topic + "/up", enrolment):
                    self._sent = enrolment
            return True
        link.on_connect, link.received = self._callbacks
        link.login(*self._before)
        return False
