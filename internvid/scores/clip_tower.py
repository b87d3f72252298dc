"""Pictures and texts as vectors, by any CLIP of `transformers`: CLIP, MetaCLIP, SigLIP, AltCLIP, Chinese CLIP."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from internvid.hub import HubModel

Dtype = torch.dtype | Literal["auto"]


class ClipTower:
    """Vectors are float32 and of length one, so that their product is the cosine.

    dtype: as `from_pretrained` takes it. Raises ValueError for a model that gives no vectors of pictures, OSError for
    one that is not there.
    """

    def __init__(
        self, hub_model: HubModel, *, device: str | torch.device = "cpu", dtype: Dtype = torch.float32
    ) -> None:
        from transformers import AutoModel

        self.source = hub_model.source
        model = AutoModel.from_pretrained(dtype=dtype, **self.source)
        if not hasattr(model, "get_image_features"):
            raise ValueError(f"{hub_model.name} is a {type(model).__name__}, which gives no vectors of pictures")
        self.model = model.to(device).eval()

    @cached_property
    def picture_processor(self) -> Any:
        from transformers import AutoImageProcessor

        return AutoImageProcessor.from_pretrained(backend="pil", **self.source)

    @cached_property
    def tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(**self.source)

    @torch.inference_mode()
    def of_pictures(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """[n, width]. pictures: each [height, width, 3] uint8 RGB, of any sizes; resized and cropped as the model's own
        processor does.
        """
        images = [Image.fromarray(picture) for picture in pictures]
        pixels = self.picture_processor(images=images, return_tensors="pt")["pixel_values"]
        features = self.model.get_image_features(pixel_values=pixels.to(self.model.device, self.model.dtype))
        return _of_length_one(features.pooler_output)

    @torch.inference_mode()
    def of_texts(self, texts: Sequence[str]) -> np.ndarray:
        """[n, width]. Texts longer than the model reads, 77 tokens in CLIP, are cut off there."""
        # Filled up to the full length: SigLIP was trained so, and to the others it makes no difference.
        places = self.model.config.text_config.max_position_embeddings
        tokens = self.tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=places, return_tensors="pt"
        )
        features = self.model.get_text_features(**tokens.to(self.model.device))
        return _of_length_one(features.pooler_output)


@lru_cache(maxsize=2)  # the doors that look through a CLIP: with one model they share it
def clip_tower(hub_model: HubModel, version: str, device: torch.device, dtype: Dtype) -> ClipTower:
    """Kept: asked again for the same it does not load again. version: of a folder says when its files have changed."""
    return ClipTower(hub_model, device=device, dtype=dtype)


def _of_length_one(vectors: torch.Tensor) -> np.ndarray:
    return functional.normalize(vectors.float(), dim=-1).cpu().numpy()
