"""How good a picture looks to people, as LAION's predictor says: CLIP's vector of it, and a line through the votes.

    score = w · v / |v| + b,  from some 1 to 10

The paper scores 4 frames of a clip, spread evenly, and keeps the highest. Its heads are LAION-AI/aesthetic-predictor's
`sa_0_4_vit_l_14_linear.pth` (768 numbers, for OpenAI's ViT-L/14) and those for ViT-B.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from internvid.batches import Batches
from internvid.scores.clip_tower import ClipTower


@dataclass(frozen=True)
class LinearHead:
    """weight: [width] float32."""

    weight: np.ndarray
    bias: float

    @classmethod
    def read(cls, file: Path) -> LinearHead:
        """A `.safetensors` file, or one of `torch.save`, of one linear layer with one output: weight [1, width] and
        bias [1]. Raises ValueError for another.
        """
        import torch
        from safetensors.torch import load_file

        if file.suffix == ".safetensors":
            tensors = load_file(file)
        else:
            tensors = torch.load(file, map_location="cpu", weights_only=True)
        shapes = {name: tuple(getattr(tensor, "shape", ())) for name, tensor in tensors.items()}
        by_name = {name.rpartition(".")[2]: tensor for name, tensor in tensors.items()}
        if set(by_name) != {"weight", "bias"} or len(tensors) != 2:
            raise ValueError(f"{file.name} is no linear head, a weight and a bias: it holds {shapes}")
        weight, bias = by_name["weight"], by_name["bias"]
        if weight.ndim != 2 or len(weight) != 1 or bias.numel() != 1:
            raise ValueError(f"{file.name} is no linear head, [1, width] and [1]: it holds {shapes}")
        return cls(weight[0].float().numpy(), float(bias))

    def score(self, vectors: np.ndarray) -> np.ndarray:
        """[n] float32 of [n, width], each of length one. Raises ValueError for vectors of another width."""
        if vectors.shape[1] != len(self.weight):
            raise ValueError(
                f"the head takes vectors of {len(self.weight)} numbers, and the CLIP gives {vectors.shape[1]}: "
                f"they were not made for each other"
            )
        return vectors @ self.weight + self.bias


class ClipAesthetics:
    def __init__(self, tower: ClipTower, head: LinearHead, *, pictures_per_batch: int = 32) -> None:
        self.tower, self.head, self.batches = tower, head, Batches(pictures_per_batch)

    def score(self, pictures: Sequence[np.ndarray]) -> list[float | Exception]:
        """A score for each picture, [height, width, 3] uint8 RGB, in their order; for one that fails the error."""
        return self.batches.through(self._scores, pictures)

    def _scores(self, pictures: Sequence[np.ndarray]) -> list[float]:
        return self.head.score(self.tower.of_pictures(pictures)).tolist()
