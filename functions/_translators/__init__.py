"""One file for each framework, and the equivalence engine. Run as children, imported by nobody."""
