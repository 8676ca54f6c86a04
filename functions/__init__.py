"""Polyglot Model Sharing: a registry of machine-learning assets whose claims anyone can check."""
