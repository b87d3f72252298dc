"""ViCLIP: the model of the InternVid paper (arXiv 2307.06942), its weights, its training, its use.

`config` and `recipe` are plain data and import no torch; every other module is torch code, imported where it is used.
"""
