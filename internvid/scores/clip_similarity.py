"""How well a caption fits a picture: the cosine of their vectors by CLIP. InternVid's makers chose FLT by it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from internvid.batches import Batches
from internvid.scores.clip_tower import ClipTower

Pair = tuple[np.ndarray, str]  # a picture, [height, width, 3] uint8 RGB, and a caption


class ClipSimilarity:
    """The plain cosine, from -1 to 1. CLIPScore as first published (Hessel et al. 2021) is 2.5 times that, and 0 below
    0: it puts pairs in the same order.
    """

    def __init__(self, tower: ClipTower, *, pairs_per_batch: int = 32) -> None:
        self.tower, self.batches = tower, Batches(pairs_per_batch)

    def score(self, pairs: Sequence[Pair]) -> list[float | Exception]:
        """A cosine for each pair, in their order; for one that fails the error."""
        return self.batches.through(self._cosines, pairs)

    def _cosines(self, pairs: Sequence[Pair]) -> list[float]:
        pictures = self.tower.of_pictures([picture for picture, _ in pairs])
        texts = self.tower.of_texts([text for _, text in pairs])
        return np.einsum("nd,nd->n", pictures, texts).tolist()
