"""Tunewright: tune language models every known way, and compare the ways fairly."""

__version__ = "0.1.0"
