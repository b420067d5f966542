"""What a device may say about itself in its next report: numbers that never change. `notice_names` names them all.

A report carries the newest value of each code, so what is told twice, or lost and told again, means the same. A value
is below 2^32 and is one of three things:

    a count      of all so far; the client tells what was dropped by itself
    a state      that holds until another value is told; 0 where nothing is the matter any more
    channels     a state: bit i stands for channel i of the enrolment, from the lowest bit on
"""

from . import codes

PAIRS_MAX = codes.NOTICES_MAX
CODE_MAX = codes.NOTICE_MAX

RESET_CAUSE = 1  # state: why this boot began, as machine.reset_cause() says on an ESP32, or one of those below
DROPPED = codes.NOTICE_DROPPED  # count: statements dropped for want of room since the outbox was made
FIRMWARE_VERSION = 3  # state: of the application that runs
SAFE_MODE = 4  # state: boots in a row that had failed when it began
APPLICATION_CORRUPT = 5  # state: the slot that could not be started, 1 = a, 2 = b
UPDATE_REFUSED = 6  # state: the reason, of the updates' own enum
UPDATE_ROLLED_BACK = 7  # state: the version that did not prove itself
STORAGE_ERRORS = 8  # count: writes that failed since this boot

SENSOR_ABSENT = 16  # channels
SENSOR_STUCK = 17  # channels
SENSOR_OUT_OF_RANGE = 18  # channels
SENSOR_GARBAGE = 19  # channels

WIFI_REFUSED = 24  # count: networks that let it not in, since this boot
BROKER_REFUSED = 25  # state: the newest CONNACK code
CERTIFICATE_REFUSED = 26  # state: what was wrong with the broker's, one of those below

# Values of RESET_CAUSE.
POWER_ON = 1
RESET_PIN = 2
WATCHDOG = 3
DEEP_SLEEP = 4
SOFT_RESET = 5
EXCEPTION = 6  # the application failed and started itself anew

# Values of CERTIFICATE_REFUSED.
NOT_TOLD = 1
WRONG_CA = 2
WRONG_HOST = 3
EXPIRED = 4
NOT_YET_VALID = 5
