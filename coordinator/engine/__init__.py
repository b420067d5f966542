"""Batches: wire bytes to inputs, inputs through the modules to effects, effects to headers, and all of it again."""
