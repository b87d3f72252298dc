"""Metrics of generated videos: distances to real ones, scores, and likeness to the prompts, as running sums.

Figures of different numbers of samples, or of differently prepared frames, say little about each other. So each comes
with both.
"""
