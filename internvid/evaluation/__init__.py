"""Evaluation by the protocol of the InternVid paper (arXiv 2307.06942): zero-shot retrieval and action recognition, and
a linear probe, on the benchmarks that its tables show.

`benchmarks`, `decode` and `published` import no torch: children that decode videos import them.
"""
