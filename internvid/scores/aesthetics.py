"""Predicts how good a picture looks to people, as LAION's predictor does: a linear regression on CLIP's vector.

    score = w · v / |v| + b,  about 1 to 10

The paper scores 4 frames of a clip, spread evenly, and keeps the highest. Its heads are LAION-AI/aesthetic-predictor's
`sa_0_4_vit_l_14_linear.pth` (768 numbers, for OpenAI's ViT-L/14) and those for ViT-B.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from internvid.batches import Batches
from internvid.scores.clip_tower import ClipTower

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class LinearHead:
    """The regression. weight: [width] float32."""

    weight: np.ndarray
    bias: float

    @classmethod
    def read(cls, file: Path) -> LinearHead:
        """Reads a linear layer with one output, weight [1, width] and bias [1], from a file.

        file: a `.safetensors` file or one of `torch.save`. Raises ValueError for other contents.
        """
        import torch
        from safetensors.torch import load_file

        if file.suffix == ".safetensors":
            tensors = load_file(file)
        else:
            tensors = torch.load(file, map_location="cpu", weights_only=True)
        shapes = {name: tuple(getattr(tensor, "shape", ())) for name, tensor in tensors.items()}
        tensors_by_name = {name.rpartition(".")[2]: tensor for name, tensor in tensors.items()}
        if set(tensors_by_name) != {"weight", "bias"} or len(tensors) != 2:
            raise ValueError(f"{file.name} is no linear head, a weight and a bias: it holds {shapes}")
        weight, bias = tensors_by_name["weight"], tensors_by_name["bias"]
        if weight.ndim != 2 or len(weight) != 1 or bias.numel() != 1:
            raise ValueError(f"{file.name} is no linear head, [1, width] and [1]: it holds {shapes}")
        return cls(weight[0].float().numpy(), float(bias))

    def score(self, vectors: np.ndarray) -> np.ndarray:
        """Scores vectors [n, width], each of length one: [n] float32. Raises ValueError for another width."""
        if vectors.shape[1] != len(self.weight):
            raise ValueError(
                f"the head takes vectors of {len(self.weight)} numbers, and the CLIP gives {vectors.shape[1]}: "
                f"they were not made for each other"
            )
        return vectors @ self.weight + self.bias


class ClipAesthetics:
    """Scores pictures with CLIP and a linear head. pictures_per_batch: pictures in a forward pass."""

    def __init__(self, tower: ClipTower, head: LinearHead, *, pictures_per_batch: int = 32) -> None:
        self.tower, self.head, self.batches = tower, head, Batches(pictures_per_batch)

    def score(self, pictures: Sequence[np.ndarray]) -> list[float | Exception]:
        """Scores each picture, [height, width, 3] uint8 RGB; the result is the error for one that fails."""
        return self.batches.map_prepared(self.tower.pixels, self._scores, pictures)

    def _scores(self, pixels: torch.Tensor) -> list[float]:
        return self.head.score(self.tower.vectors_of_pixels(pixels)).tolist()
