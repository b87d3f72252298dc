"""A small ViCLIP for training from random weights on two cores, on the captions of one lake."""

from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.recipe import Phase, Recipe

# Values without a source were tuned with `make learn`, on two cores.
VICLIP_TINY = Recipe(
    name="viclip-tiny",
    model=ViCLIPConfig(
        image_size=32,  # 8 frames are 128 tokens, the same as with 64 pixels and patches of 16,
        patch_size=8,  # but a patch has a quarter of the values, and resizing costs less
        vision_width=128,
        vision_layers=3,  # the last layer computes the class token only: a fourth layer costs 50 % more
        vision_heads=4,
        text_width=128,
        text_layers=2,
        text_heads=4,
        embed_dim=128,
        vocab_size=2_048,  # measured captions use about a third of it, a thousand real captions all of it
    ),
    initialise_from=None,
    freeze_text=False,  # its weights are random too
    wise_ft=None,  # there are no pretrained weights to average with
    weight_decay=0.05,
    drop_path=0.0,  # with three layers none is redundant
    initial_temperature=0.07,  # CLIP's; at 0.01, which suits trained towers, random towers are confident and wrong
    same_video="masked",
    crop_scale=(0.7, 1.0),  # smaller crops would cut off objects near an edge
    horizontal_flip=False,  # captions tell left from right
    precision="float32",  # few CPUs are faster at bfloat16
    phases=(
        Phase(
            name="masked",
            mask_ratio=0.5,  # doubles clips per second; objects are a few tokens, and 0.9 would remove all of them
            learning_rate=1.5e-3,
            epochs=15,  # 1,400 steps on the 6,000 clips of `make learn`: recognises nearly all actions
            warmup_epochs=1,
            batch_size=64,
            min_steps=150,  # the forty clips of the sample videos would give 15 steps
        ),
        Phase(
            name="unmasked",
            mask_ratio=0.0,
            learning_rate=4e-4,
            epochs=2,
            warmup_epochs=0.2,
            batch_size=64,
            min_steps=20,
        ),
    ),
)
