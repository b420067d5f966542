"""The disk: the data directory, the published folders, and the only speaker of SQL."""
