"""Finds steps that are missing and announces them."""
