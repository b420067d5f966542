"""Pages and API with many devices and a year of epochs in the stores, beside ingest."""
