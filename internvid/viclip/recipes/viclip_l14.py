"""ViCLIP-L/14 as the paper trained it. [P]: the paper; [R]: configuration published with the paper's code."""

from internvid.viclip.config import L14
from internvid.viclip.recipe import Phase, Recipe

VICLIP_L14 = Recipe(
    name="viclip-l14",
    model=L14,
    initialise_from="openai/clip-vit-large-patch14",  # [R] CLIP-ViT-L/14 for the final runs
    freeze_text=True,  # [R]
    wise_ft=0.5,  # [R] the evaluation scripts average with CLIP; the paper does not mention it
    phases=(
        Phase(
            name="masked",
            mask_ratio=0.9,  # [P]
            learning_rate=4e-4,  # [R]
            epochs=10,  # [R] for the subsets of 10M
            warmup_epochs=0.5,  # [R]
            batch_size=32_768,  # [R] 512 on each of 64 GPUs
        ),
        Phase(
            name="unmasked",
            mask_ratio=0.0,  # [P]
            learning_rate=4e-6,  # [P]
            epochs=0.5,  # [P]
            warmup_epochs=0.1,  # [R]
            batch_size=2_048,  # [R] 32 on each of 64 GPUs
        ),
    ),
)
