"""What the platform means by its words. Imports nothing else of ours."""
