"""How the process of a simulated board ends, read by the board and by its parent.

The first three are names of signals that it dies of, the others exit codes. Dead of SIGKILL: the power was cut.
"""

RESET, DEEP_SLEEP, WATCHDOG = "USR1", "USR2", "ALRM"
SOFT_RESET = 3  # machine.soft_reset(), Ctrl-D, or SystemExit in main.py
PROMPT = 4  # main.py has ended, a board would stand at its prompt
NO_BOOT = 5  # no partition table, or none that can be used
CORRUPT = 6  # the root file system cannot be mounted and is not empty: stock firmware says so for ever
