"""Prepares pictures for a model of `transformers`: resized on the CPU, sent as bytes, normalised on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from internvid.hub import HubModel


class HubPixels:
    """Prepares pictures as the model's own processor does, to rounding (1e-6).

    A byte takes a quarter of the copy that a float32 takes, and the device normalises while the CPU would. Processors
    that do more than rescale by a factor and normalise by mean and deviation (EfficientNet's) do it all on the CPU.
    """

    def __init__(self, hub_model: HubModel) -> None:
        from transformers import AutoImageProcessor

        self.processor = AutoImageProcessor.from_pretrained(backend="pil", **hub_model.source)
        self.as_bytes = _only_rescales_and_normalises(self.processor)
        self.mean = self.deviation = torch.empty(0)
        if self.as_bytes:
            self.mean = _per_channel(self.processor.image_mean)
            self.deviation = _per_channel(self.processor.image_std)

    def prepared(self, pictures: Sequence[np.ndarray]) -> torch.Tensor:
        """Resizes and crops pictures, on the CPU: a thread may do so ahead of the model.

        pictures: each [height, width, 3] uint8 RGB, of any size. Returns [n, 3, height, width], uint8, or float32 where
        the processor does it all.
        """
        images = [Image.fromarray(picture) for picture in pictures]
        left_out: dict[str, Any] = {"do_rescale": False, "do_normalize": False} if self.as_bytes else {}
        return self.processor(images=images, return_tensors="pt", **left_out)["pixel_values"]

    def on_device(self, prepared: torch.Tensor, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
        """Moves what `prepared` returned to the device, and normalises it there in float32."""
        pixels = prepared.to(device)
        if self.as_bytes:
            pixels = (pixels.float() * self.processor.rescale_factor - self.mean.to(device)) / self.deviation.to(device)
        return pixels.to(dtype)


def _only_rescales_and_normalises(processor: Any) -> bool:
    does_both = getattr(processor, "do_rescale", False) and getattr(processor, "do_normalize", False)
    does_more = getattr(processor, "rescale_offset", False) or getattr(processor, "include_top", False)
    return bool(does_both and not does_more)


def _per_channel(values: Sequence[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
