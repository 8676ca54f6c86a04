"""Checks a claim from the bytes and the ledger, and signs what it found."""
