"""Training a whole model on raw text."""
