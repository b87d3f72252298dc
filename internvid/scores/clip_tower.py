"""Embeds pictures and texts with any CLIP of `transformers`: CLIP, MetaCLIP, SigLIP, AltCLIP, Chinese CLIP."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np
import torch
from torch.nn import functional

from internvid.hub import HubModel
from internvid.scores.hub_pixels import HubPixels

Dtype = torch.dtype | Literal["auto"]


class ClipTower:
    """Embeds pictures and texts. Vectors are float32 and of length one, so that their dot product is the cosine.

    dtype: as `from_pretrained` takes it. Raises ValueError for a model that gives no vectors of pictures, OSError for
    a model that does not exist.
    """

    vector_method = "get_image_features"  # that the model must have

    def __init__(
        self, hub_model: HubModel, *, device: str | torch.device = "cpu", dtype: Dtype = torch.float32
    ) -> None:
        from transformers import AutoModel

        self.hub_model = hub_model
        model = AutoModel.from_pretrained(dtype=dtype, **hub_model.source)
        if not hasattr(model, self.vector_method):
            raise ValueError(f"{hub_model.name} is a {type(model).__name__}, which gives no vectors of pictures")
        self.model = model.to(device).eval()

    @cached_property
    def hub_pixels(self) -> HubPixels:
        return HubPixels(self.hub_model)

    @cached_property
    def tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(**self.hub_model.source)

    def picture_vectors(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Embeds pictures: [n, width] float32.

        pictures: each [height, width, 3] uint8 RGB, of any size; the model's own processor resizes and crops them.
        """
        return self.vectors_of_pixels(self.pixels(pictures))

    def pixels(self, pictures: Sequence[np.ndarray]) -> torch.Tensor:
        """Prepares pictures for `vectors_of_pixels`, on the CPU: a thread may do so ahead of the model."""
        return self.hub_pixels.prepared(pictures)

    @torch.inference_mode()
    def vectors_of_pixels(self, pixels: torch.Tensor) -> np.ndarray:
        pixel_values = self.hub_pixels.on_device(pixels, self.model.device, self.model.dtype)
        features = self.model.get_image_features(pixel_values=pixel_values)
        return _normalised(features.pooler_output)

    def text_vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Embeds texts: [n, width] float32. Texts longer than the model reads (CLIP: 77 tokens) are truncated."""
        return self.vectors_of_tokens(self.tokens(texts))

    def tokens(self, texts: Sequence[str]) -> Any:
        """Prepares texts for `vectors_of_tokens`, on the CPU."""
        # Padded to the full length: SigLIP was trained so, and to other models it makes no difference.
        max_tokens = self.model.config.text_config.max_position_embeddings
        return self.tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=max_tokens, return_tensors="pt"
        )

    @torch.inference_mode()
    def vectors_of_tokens(self, tokens: Any) -> np.ndarray:
        features = self.model.get_text_features(**tokens.to(self.model.device))
        return _normalised(features.pooler_output)


@lru_cache(maxsize=2)  # providers with the same CLIP share it
def clip_tower(hub_model: HubModel, version: str, device: torch.device, dtype: Dtype) -> ClipTower:
    """Loads a CLIP; the last two are cached. version: part of the cache's key, because a folder's files may change."""
    return ClipTower(hub_model, device=device, dtype=dtype)


def _normalised(vectors: torch.Tensor) -> np.ndarray:
    return functional.normalize(vectors.float(), dim=-1).cpu().numpy()
