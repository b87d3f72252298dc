"""Evaluation by the protocol of the InternVid paper (arXiv 2307.06942): zero-shot retrieval, zero-shot action
recognition, and a linear probe, on the benchmarks of its tables.

`benchmarks`, `decode` and `published` import no torch, because the child processes that decode videos import them.
"""
