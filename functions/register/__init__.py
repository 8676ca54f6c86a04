"""Accepts what is asked, presigns uploads, announces."""
