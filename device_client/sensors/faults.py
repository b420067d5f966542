"""What can be wrong with a sensor that is wired: a closed list, each with the name of the notice that tells it.

Fault
  Absent        sensor_absent          it does not answer in its time; a GPS without a fix; any OSError of a bus
  OutOfRange    sensor_out_of_range    it says what it cannot measure
  Garbage       sensor_garbage         it answers, and that is no value: a wrong checksum, another chip, noise
"""


class Fault(Exception):
    """`args[0]` says what is wrong, in words."""

    code = ""


class Absent(Fault):
    code = "sensor_absent"


class OutOfRange(Fault):
    code = "sensor_out_of_range"


class Garbage(Fault):
    code = "sensor_garbage"


def within(low: int, value: int, high: int, what: str) -> int:
    """`value`, if low <= value <= high. Raises OutOfRange."""
    if not low <= value <= high:
        raise OutOfRange("%s %d is not in %d to %d" % (what, value, low, high))
    return value
