"""A ViCLIP small enough to be trained on two cores, from nothing, on a lake's own captions."""

from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.recipe import Phase, Recipe

# Numbers without a source were tried on the benchmark of `make learn`, on two cores.
VICLIP_TINY = Recipe(
    name="viclip-tiny",
    model=ViCLIPConfig(
        image_size=32,  # 8 frames are 128 tokens, as they are of 64 pixels in patches of 16, but
        patch_size=8,  # of a quarter of the numbers each, and less to resize
        vision_width=128,
        vision_layers=3,  # the last one computes the class token alone: a fourth costs half as much again
        vision_heads=4,
        text_width=128,
        text_layers=2,
        text_heads=4,
        embed_dim=128,
        vocab_size=2_048,  # a lake of measured captions fills about a third of it, a thousand real captions all
    ),
    initialise_from=None,
    freeze_text=False,  # it begins with nothing either
    wise_ft=None,  # there is nothing to average with
    weight_decay=0.05,
    drop_path=0.0,  # three layers are no more than it takes
    initial_temperature=0.07,  # CLIP's; at the 0.01 of trained towers random ones are all but sure, and wrong
    same_video="masked",
    crop_scale=(0.7, 1.0),  # more would cut off what moves near an edge
    horizontal_flip=False,  # captions tell left from right
    precision="float32",  # few CPUs are faster at bfloat16
    phases=(
        Phase(
            name="masked",
            mask_ratio=0.5,  # twice the clips per second; figures are a few tokens, of which 0.9 would leave none
            learning_rate=1.5e-3,
            epochs=15,  # 1,400 steps on the 6,000 clips of `make learn`: nearly all of its actions are recognised then
            warmup_epochs=1,
            batch_size=64,
            steps_at_least=150,  # on the forty clips of the sample films 15 epochs would be 15 steps
        ),
        Phase(
            name="unmasked",
            mask_ratio=0.0,
            learning_rate=4e-4,
            epochs=2,
            warmup_epochs=0.2,
            batch_size=64,
            steps_at_least=20,
        ),
    ),
)
