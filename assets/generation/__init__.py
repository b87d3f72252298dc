"""Models that generate videos from text, and the videos that they generate."""
