"""Carries authorizations to the ledger; the only sender of transactions."""
