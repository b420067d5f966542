"""Backups of a data directory: made beside a running coordinator, tried out, and put back."""
