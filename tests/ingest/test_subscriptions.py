"""Connections come and go while amqtt looks through the subscriptions."""

from coordinator.ingest.broker import _Subscriptions


def test_a_change_in_the_middle_of_a_loop() -> None:
    held = _Subscriptions({"a": [], "b": []})
    for topic in held:
        held[topic + "/new"] = []
    for topic, _ in held.items():
        del held[topic]
    assert len(held) == 0
