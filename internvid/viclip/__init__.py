"""ViCLIP: the model of the InternVid paper (arXiv 2307.06942), its weights, its training and its use.

`config`, `recipe` and `precision` are plain data and import no torch. All other modules import torch; callers import
them inside functions.
"""
