"""Scores how well a caption fits a picture: the cosine of their CLIP vectors. InternVid's makers chose FLT by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from internvid.batches import Batches
from internvid.scores.clip_tower import ClipTower

Pair = tuple[np.ndarray, str]  # a picture, [height, width, 3] uint8 RGB, and a caption


class ClipSimilarity:
    """Scores pairs by the plain cosine, from -1 to 1. pairs_per_batch: pairs in a forward pass.

    CLIPScore as first published (Hessel et al. 2021) is 2.5 times the cosine, and 0 where that is negative; it orders
    pairs in the same way.
    """

    def __init__(self, tower: ClipTower, *, pairs_per_batch: int = 32) -> None:
        self.tower, self.batches = tower, Batches(pairs_per_batch)

    def score(self, pairs: Sequence[Pair]) -> list[float | Exception]:
        """The cosine of each pair, in their order; the result is the error for one that fails."""
        return self.batches.map_prepared(self._prepared, self._cosines, pairs)

    def _prepared(self, pairs: Sequence[Pair]) -> tuple[Any, Any]:
        pixels = self.tower.pixels([picture for picture, _ in pairs])
        return pixels, self.tower.tokens([text for _, text in pairs])

    def _cosines(self, prepared: tuple[Any, Any]) -> list[float]:
        pixels, tokens = prepared
        pictures, texts = self.tower.vectors_of_pixels(pixels), self.tower.vectors_of_tokens(tokens)
        return np.einsum("nd,nd->n", pictures, texts).tolist()
