"""One file for each outside system, each the production side of a port in functions._domain.ports."""
