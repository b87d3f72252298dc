"""Captions: the embedded captioner and summariser, and the words of a caption."""
