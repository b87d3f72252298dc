"""Interleaved documents: the clips of a video as places within a text, as models that learn in context read them."""
