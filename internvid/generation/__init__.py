"""Models that generate video from text, and how their videos are measured."""
