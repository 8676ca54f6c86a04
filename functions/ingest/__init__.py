"""Digests uploaded files in their final place and seals the asset."""
