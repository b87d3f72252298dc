"""Captions: the embedded captioner and summariser, captioning by vision-language models, and a caption's words."""
