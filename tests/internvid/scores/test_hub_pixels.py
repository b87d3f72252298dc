"""Pictures sent as bytes and normalised on the device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from internvid.hub import HubModel
from internvid.scores.hub_pixels import HubPixels


@pytest.mark.parametrize(
    ("name", "as_bytes"),
    [("CLIPImageProcessorPil", True), ("SiglipImageProcessorPil", True), ("EfficientNetImageProcessorPil", False)],
)
def test_the_pixels_are_those_of_the_models_own_processor(tmp_path: Path, name: str, as_bytes: bool):
    import transformers

    getattr(transformers, name)().save_pretrained(tmp_path)
    generator = np.random.default_rng(0)
    pictures = [generator.integers(0, 256, shape, np.uint8) for shape in ((90, 160, 3), (64, 40, 3))]
    pixels = HubPixels(HubModel(str(tmp_path)))
    prepared = pixels.prepared(pictures)
    assert (prepared.dtype == torch.uint8) == as_bytes
    images = [Image.fromarray(picture) for picture in pictures]
    expected = pixels.processor(images=images, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(
        pixels.on_device(prepared, torch.device("cpu"), torch.float32), expected, rtol=0, atol=1e-6
    )
