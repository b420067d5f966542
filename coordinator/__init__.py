"""The coordinator: verifies, tallies, pays, publishes."""
