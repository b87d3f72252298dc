"""Sizes of ViCLIP. Plain data: importing it costs nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class ViCLIPConfig:
    """Sizes that determine the shapes of the weights.

    image_size, patch_size: pixels. frames: length of the temporal embedding. context_length: tokens per text.
    Raises ValueError if a width is not divisible by its heads, or the image size by the patch size.
    """

    image_size: int
    patch_size: int
    vision_width: int
    vision_layers: int
    vision_heads: int
    text_width: int
    text_layers: int
    text_heads: int
    embed_dim: int
    vocab_size: int = 49_408
    context_length: int = 32
    frames: int = 8

    def __post_init__(self) -> None:
        if self.image_size % self.patch_size:
            raise ValueError(f"an image of {self.image_size} pixels is no whole number of {self.patch_size}s")
        for tower in ("vision", "text"):
            width, heads = getattr(self, f"{tower}_width"), getattr(self, f"{tower}_heads")
            if width % heads:
                raise ValueError(f"{tower} width {width} does not divide by {heads} heads")

    @property
    def patches_per_frame(self) -> int:
        return (self.image_size // self.patch_size) ** 2

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


L14 = ViCLIPConfig(
    image_size=224,
    patch_size=14,
    vision_width=1024,
    vision_layers=24,
    vision_heads=16,
    text_width=768,
    text_layers=12,
    text_heads=12,
    embed_dim=768,
)
B16 = ViCLIPConfig(
    image_size=224,
    patch_size=16,
    vision_width=768,
    vision_layers=12,
    vision_heads=12,
    text_width=512,
    text_layers=12,
    text_heads=8,
    embed_dim=512,
)
