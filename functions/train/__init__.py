"""Submits a model's training run."""
