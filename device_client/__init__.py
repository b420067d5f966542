"""The light client: what runs on a device."""
