"""`edgetally bench execute`: batches of a million statements and more, transfers, and checking signatures in bulk."""
