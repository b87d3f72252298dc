"""What a training recipe says. Plain data: the recipes themselves are the files of `recipes/`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal

from internvid.viclip.config import ViCLIPConfig

# How clips of one video are treated within a batch: as negatives of each other (the paper), left out of the loss's
# denominator, or never put into one batch.
SameVideo = Literal["negatives", "masked", "apart"]


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one masking ratio. Its learning rate warms up and then falls as a cosine.

    mask_ratio: share of the video's tokens that are dropped. batch_size: clips of all ranks together.
    epochs: may be a fraction. steps_at_least: for data so small that the epochs would be a few steps. steps_at_most:
    for a trial, or data so large that they would never end; None: no limit.
    learning_rate_floor: share of learning_rate that it never falls below, during warm-up and at the end alike.
    """

    name: str
    mask_ratio: float
    learning_rate: float
    epochs: float
    warmup_epochs: float
    batch_size: int
    steps_at_least: int = 0
    steps_at_most: int | None = None
    learning_rate_floor: float = 0.01


@dataclass(frozen=True)
class Recipe:
    """How a ViCLIP is trained.

    initialise_from: a CLIP checkpoint of `transformers`, by hub id or folder; None: from nothing, with a vocabulary
    trained on the captions. wise_ft: share of the trained weights in the average with the initial ones.
    crop_scale: shares of the picture between which random crops lie. horizontal_flip: half of the clips are mirrored;
    not for captions that tell left from right. image_mean, image_std: of RGB in 0..1.
    frames: how many each clip is trained with. precision: of the forward pass. accumulate: slices that a rank's batch
    is computed in, with the gradients of the whole batch.
    """

    name: str
    model: ViCLIPConfig
    phases: tuple[Phase, ...]
    initialise_from: str | None
    freeze_text: bool
    wise_ft: float | None
    frames: int = 8
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.2
    drop_path: float = 0.1
    initial_temperature: float = 0.01
    same_video: SameVideo = "negatives"
    crop_scale: tuple[float, float] = (0.5, 1.0)
    horizontal_flip: bool = True
    image_mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    image_std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    gradient_checkpointing: bool = False
    accumulate: int = 1
    seed: int = 42

    @property
    def version(self) -> str:
        """Readable, and another one for any change of the recipe: name and a hash of all numbers."""
        hashed = hashlib.md5(json.dumps(asdict(self), sort_keys=True).encode(), usedforsecurity=False).hexdigest()
        return f"{self.name}+{hashed[:8]}"
