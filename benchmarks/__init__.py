"""Benchmarks: what the platform must reach, measured beside what one would use instead."""
