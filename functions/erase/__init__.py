"""Takes dead letters and marks what they were about."""
