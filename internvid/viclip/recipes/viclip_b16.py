"""ViCLIP-B/16: the recipe of L/14 with half its learning rate."""

from dataclasses import replace

from internvid.viclip.config import B16
from internvid.viclip.recipes.viclip_l14 import VICLIP_L14

_masked, _unmasked = VICLIP_L14.phases

VICLIP_B16 = replace(
    VICLIP_L14,
    name="viclip-b16",
    model=B16,
    initialise_from="openai/clip-vit-base-patch16",  # [R] CLIP-ViT-B/16
    phases=(replace(_masked, learning_rate=2e-4), _unmasked),  # [R]
)
