"""Configured providers to the outside: the lake, media, models; and the one function that does incremental work."""
