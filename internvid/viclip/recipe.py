"""The fields of a training recipe. Plain data: the recipes themselves are the files in `recipes/`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from internvid.viclip.config import ViCLIPConfig

# Treatment of clips of one video within a batch: negatives of each other (the paper), excluded from each other's
# denominator in the loss, or never in the same batch.
SameVideo = Literal["negatives", "masked", "apart"]
# A random crop in training: a share of the picture's area, anywhere; or sides that are multiples of its shorter side,
# at one of few places.
Crop = Literal["area", "sides"]


def version_of(name: str, fields: Mapping[str, Any]) -> str:
    """Returns the version of a recipe: its name and a hash of all fields. fields: as JSON can have them."""
    hashed = hashlib.md5(json.dumps(fields, sort_keys=True).encode(), usedforsecurity=False).hexdigest()
    return f"{name}+{hashed[:8]}"


@dataclass(frozen=True)
class Phase:
    """A part of training with one masking ratio. Its learning rate warms up and then decays as a cosine.

    mask_ratio: share of the video's tokens that are dropped. batch_size: clips of all ranks together.
    epochs, warmup_epochs: may be fractions. min_steps: lower bound on steps, for small data sets. max_steps: upper
    bound, for trials and very large data sets; None: no limit.
    learning_rate_floor: lower bound during warm-up and at the end, as a share of learning_rate.
    """

    name: str
    mask_ratio: float
    learning_rate: float
    epochs: float
    warmup_epochs: float
    batch_size: int
    min_steps: int = 0
    max_steps: int | None = None
    learning_rate_floor: float = 0.01


@dataclass(frozen=True)
class Recipe:
    """How a ViCLIP is trained.

    initialise_from: a CLIP checkpoint of `transformers`, by hub id or folder, or a folder of open_clip; None:
    random weights, with a vocabulary trained on the captions. wise_ft: share of the trained weights in the average
    with the initial ones; None: no average. crop_scale: minimum and maximum share of the picture in random crops.
    horizontal_flip: mirror half of the clips; unsuitable for captions that mention left or right. image_mean,
    image_std: of RGB in 0..1.
    frames: frames per clip. precision: of the forward pass. How a batch is made to fit into memory is not part of a
    recipe (`memory`): it changes no result.
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
    seed: int = 42

    @property
    def version(self) -> str:
        """Returns the name and a hash of all fields: any change of the recipe changes it."""
        return version_of(self.name, {**asdict(self), "model": self.model.as_dict()})
