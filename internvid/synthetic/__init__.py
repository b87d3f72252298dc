"""Synthetic videos: rendered from plans and seeds, each with its ground truth in a file beside it."""
