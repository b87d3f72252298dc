"""Sizes of ViCLIP. Plain data: importing it costs nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Activation = Literal["quick_gelu", "gelu"]
ACTIVATIONS: tuple[str, ...] = get_args(Activation)


@dataclass(frozen=True)
class ViCLIPConfig:
    """Sizes that determine the shapes of the weights.

    image_size, patch_size: pixels. frames: length of the temporal embedding. context_length: tokens per text.
    activation: of the MLPs, which no weight shows: quick_gelu in OpenAI's CLIP and the released ViCLIP, gelu in others,
    such as those trained on DataComp.
    Raises ValueError if a width is not divisible by its heads, or the image size by the patch size, and for another
    activation.
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
    activation: Activation = "quick_gelu"

    def __post_init__(self) -> None:
        if self.image_size % self.patch_size:
            raise ValueError(f"an image of {self.image_size} pixels is no whole number of {self.patch_size}s")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"the activation is {self.activation}, but it must be {' or '.join(ACTIVATIONS)}")
        for tower in ("vision", "text"):
            width, heads = getattr(self, f"{tower}_width"), getattr(self, f"{tower}_heads")
            if width % heads:
                raise ValueError(f"{tower} width {width} does not divide by {heads} heads")

    @property
    def patches_per_frame(self) -> int:
        return (self.image_size // self.patch_size) ** 2

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields; the activation only where it is not the one of released checkpoints."""
        fields = asdict(self)
        if self.activation == ViCLIPConfig.activation:
            del fields["activation"]
        return fields


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
