"""ViCLIP as a model of `transformers`: `AutoModel` loads its folders after `register_viclip()`, with no remote code.

Parameters have the names and shapes of the released checkpoints, so such a folder is also a checkpoint of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, AutoProcessor, BatchFeature, PreTrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.model import MIN_TEMPERATURE, TextEncoder, VisionEncoder, patches_of
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.tokenizer import Tokenizer, prepare_text

MODEL_TYPE = "internvid_viclip"


class ViCLIPFolderConfig(PreTrainedConfig):
    """model: the sizes, as `ViCLIPConfig` has them. preprocessing: how frames are resized and normalised."""

    model_type = MODEL_TYPE

    def __init__(
        self, model: dict[str, Any] | None = None, preprocessing: dict[str, Any] | None = None, **others: Any
    ) -> None:
        super().__init__(**others)
        self.model = model or {}
        self.preprocessing = preprocessing or {}


@dataclass
class ViCLIPOutput(ModelOutput):
    """logits_per_video: [videos, texts], cosines over the temperature. video_embeds, text_embeds: of length one."""

    logits_per_video: Tensor | None = None
    logits_per_text: Tensor | None = None
    video_embeds: Tensor | None = None
    text_embeds: Tensor | None = None


class ViCLIPModel(PreTrainedModel):
    """The two towers and the temperature."""

    config_class = ViCLIPFolderConfig
    base_model_prefix = "viclip"
    main_input_name = "pixel_values"

    def __init__(self, config: ViCLIPFolderConfig) -> None:
        super().__init__(config)
        sizes = ViCLIPConfig(**config.model)
        self.patch_size = sizes.patch_size
        self.temp = nn.Parameter(torch.tensor(MIN_TEMPERATURE))
        self.vision_encoder = VisionEncoder(sizes)
        self.text_encoder = TextEncoder(sizes)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """The towers initialise themselves."""

    def get_video_features(self, pixel_values: Tensor) -> Tensor:
        """pixel_values: [videos, frames, 3, side, side], from `ViCLIPProcessor`. Returns [videos, d], any length."""
        patches = patches_of(pixel_values, self.patch_size, None)
        return self.vision_encoder(patches, pixel_values.shape[1], None, None)

    def get_text_features(self, input_ids: Tensor) -> Tensor:
        """input_ids: [texts, tokens]; what follows the first end token has no effect. Returns [texts, d]."""
        return self.text_encoder(input_ids)

    def forward(
        self, pixel_values: Tensor | None = None, input_ids: Tensor | None = None, **others: Any
    ) -> ViCLIPOutput:
        """Embeds videos, texts or both."""
        video = None if pixel_values is None else functional.normalize(self.get_video_features(pixel_values), dim=-1)
        text = None if input_ids is None else functional.normalize(self.get_text_features(input_ids), dim=-1)
        logits = None
        if video is not None and text is not None:
            logits = video @ text.T / self.temp.clamp(min=MIN_TEMPERATURE)
        return ViCLIPOutput(logits, None if logits is None else logits.T, video, text)


class ViCLIPProcessor:
    """Makes a model's inputs of videos and texts. `AutoProcessor` loads it from the model's folder."""

    def __init__(self, preprocessing: Preprocessing, tokenizer: Tokenizer) -> None:
        self.preprocessing, self.tokenizer = preprocessing, tokenizer

    @classmethod
    def from_pretrained(cls, folder: str | Path, **others: Any) -> ViCLIPProcessor:
        config = AutoConfig.from_pretrained(str(folder))
        tokenizer = Tokenizer.load(Path(folder), config.model["context_length"])
        return cls(Preprocessing.from_dict(config.preprocessing), tokenizer)

    def __call__(
        self, videos: Sequence[np.ndarray] | None = None, text: str | Sequence[str] | None = None
    ) -> BatchFeature:
        """videos: each [frames, height, width, 3] uint8 RGB, of equally many frames. text: one or several."""
        inputs: dict[str, Tensor] = {}
        if videos is not None:
            inputs["pixel_values"] = self.preprocessing.frames(videos)
        if text is not None:
            texts = [text] if isinstance(text, str) else list(text)
            inputs["input_ids"] = self.tokenizer([prepare_text(each) for each in texts])
        return BatchFeature(inputs)


def register_viclip() -> None:
    """Makes ViCLIP known to `AutoConfig`, `AutoModel` and `AutoProcessor` of this process."""
    AutoConfig.register(MODEL_TYPE, ViCLIPFolderConfig, exist_ok=True)
    AutoModel.register(ViCLIPFolderConfig, ViCLIPModel, exist_ok=True)
    AutoProcessor.register(ViCLIPFolderConfig, ViCLIPProcessor, exist_ok=True)
