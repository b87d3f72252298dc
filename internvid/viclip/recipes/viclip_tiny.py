"""A ViCLIP small enough to be trained on two cores, from nothing, on a lake's own captions."""

from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.recipe import Phase, Recipe

VICLIP_TINY = Recipe(
    name="viclip-tiny",
    model=ViCLIPConfig(
        image_size=64,
        patch_size=16,
        vision_width=128,
        vision_layers=4,
        vision_heads=4,
        text_width=128,
        text_layers=2,
        text_heads=4,
        embed_dim=128,
        vocab_size=2_048,
    ),
    initialise_from=None,
    freeze_text=False,
    wise_ft=None,
    weight_decay=0.05,
    drop_path=0.0,
    initial_temperature=0.07,
    same_video="masked",
    crop_scale=(0.8, 1.0),
    horizontal_flip=False,  # captions tell left from right
    precision="float32",
    phases=(
        Phase("masked", mask_ratio=0.5, learning_rate=1e-3, epochs=10, warmup_epochs=0.5, batch_size=64),
        Phase("unmasked", mask_ratio=0.0, learning_rate=2e-4, epochs=2, warmup_epochs=0.1, batch_size=64),
    ),
)
