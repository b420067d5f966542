"""`python -m coordinator.cli` is the `edgetally` command."""

from . import main

main()
