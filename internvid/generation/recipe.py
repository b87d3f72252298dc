"""How a generator of videos is trained, and the recipes by name. Plain data: importing it costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from internvid.viclip.recipe import Phase, version_of

# What the denoiser is trained to predict: the noise, the velocity (a mixture of noise and picture), or the picture.
Prediction = Literal["epsilon", "v_prediction", "sample"]
# What of the denoiser is trained: all of it, or what was added to the image model.
Trained = Literal["all", "added"]


@dataclass(frozen=True)
class NewImageModel:
    """Sizes of a text-to-image model that is trained from random weights.

    patch: side in pixels of the patches that become latents. latent_channels: principal components of a patch.
    denoiser_widths: channels by level; each level but the first halves the side. denoiser_layers: blocks of a level.
    heads: of all attention. text_width, text_layers: of the text tower.
    vocab_size: upper bound on tokens. context: tokens of a caption; longer ones are cut.
    """

    patch: int
    latent_channels: int
    denoiser_widths: tuple[int, ...]
    denoiser_layers: int
    heads: int
    text_width: int
    text_layers: int
    vocab_size: int
    context: int
    norm_groups: int = 8


@dataclass(frozen=True)
class Sampling:
    """How videos are sampled. denoiser_calls: of a video. guidance: weight of the text against no text; 1: none."""

    denoiser_calls: int = 25
    guidance: float = 4.0

    @property
    def version(self) -> str:
        return f"ddim{self.denoiser_calls}+guidance{self.guidance:g}"


@dataclass(frozen=True)
class GenerationRecipe:
    """How a generator is trained.

    image_model: a Stable-Diffusion folder or hub id in the layout of `diffusers`; None: `new_image_model`.
    denoiser: the phase in which the inflated denoiser, and a new text tower, learn. Its batches count clips.
    frames, image_size: of a video; the side in pixels. fit: how a frame becomes a square: the whole of it is squashed,
    or its middle is taken. frames_per_second: at which generated videos are shown.
    noise_shift: the ratio of signal to noise at each time of diffusion is divided by its square; 1: as the schedule has
    it. The fewer details a video has, the more noise it takes to hide where things are: with too little, the steps at
    which only the text says where are too few to learn from.
    last_time_share: share of clips that are seen at the last time of diffusion, where there is nothing but noise and
    all must come from the text, as it is when sampling begins; the others' times are drawn evenly.
    caption_dropout: share of captions that are replaced by an empty one, which guidance needs.
    ema_decay: of the average of weights over steps that the checkpoint holds.
    """

    name: str
    image_model: str | None
    new_image_model: NewImageModel | None
    denoiser: Phase
    prediction: Prediction
    frames: int = 16
    image_size: int = 256
    fit: Literal["squash", "crop"] = "crop"
    frames_per_second: float = 8.0
    trained: Trained = "all"
    noise_shift: float = 1.0
    last_time_share: float = 0.0
    caption_dropout: float = 0.1
    ema_decay: float = 0.9999
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    seed: int = 42

    @property
    def version(self) -> str:
        """Returns the name and a hash of all fields: any change of the recipe changes it."""
        return version_of(self.name, asdict(self))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GenerationRecipe:
        """Reads the result of `asdict`, also after a round trip through JSON."""
        new = values["new_image_model"]
        if new is not None:
            lists = {name: tuple(value) for name, value in new.items() if isinstance(value, list | tuple)}
            new = NewImageModel(**{**new, **lists})
        parts = {
            "new_image_model": new,
            "denoiser": Phase(**values["denoiser"]),
        }
        return cls(**{**values, **parts, "betas": tuple(values["betas"])})


# Its first steps were tried with benchmarks/generation_tiny.py: see docs/generation.md. A step took 0.84 s of a core.
T2V_TINY = GenerationRecipe(
    name="t2v-tiny",
    image_model=None,
    new_image_model=NewImageModel(
        patch=4,
        latent_channels=16,
        denoiser_widths=(48, 64),
        denoiser_layers=1,
        heads=4,
        text_width=64,
        text_layers=2,
        vocab_size=512,
        context=24,
    ),
    denoiser=Phase(
        name="denoiser",
        mask_ratio=0.0,
        learning_rate=1.5e-3,
        epochs=21,
        warmup_epochs=0.5,
        batch_size=16,
        min_steps=200,
    ),
    # Most components of a patch are nearly always 0. Of noise and velocity, a narrow network would have to carry each.
    prediction="sample",
    # All frames together show where a figure is up to a ratio of 1 to 1,000: of the cosine's times, 98 of 100 have
    # more signal, and 77 with this shift. See docs/generation.md.
    noise_shift=12.0,
    last_time_share=0.25,
    image_size=32,
    fit="squash",
    ema_decay=0.99,
    betas=(0.9, 0.99),
    precision="float32",  # few CPUs are faster at bfloat16
)

# The sizes of the paper's baseline, with a Stable-Diffusion folder of the user's. Not trained here: the paper gives
# the number of frames; no figure stands behind the other values.
T2V_SD = GenerationRecipe(
    name="t2v-sd",
    image_model="",  # INTERNVID_IMAGE_MODEL
    new_image_model=None,
    denoiser=Phase(name="denoiser", mask_ratio=0.0, learning_rate=3e-5, epochs=1, warmup_epochs=0.02, batch_size=64),
    prediction="epsilon",
)

GENERATION_RECIPES: dict[str, GenerationRecipe] = {recipe.name: recipe for recipe in (T2V_TINY, T2V_SD)}
