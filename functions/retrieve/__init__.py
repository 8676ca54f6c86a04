"""Reads: assets, status, contracts, lineage, files."""
