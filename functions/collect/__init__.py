"""Promotes and seals the outputs of a finished run."""
