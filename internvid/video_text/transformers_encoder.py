"""Embeds clips and texts with a CLIP-like model of `transformers`: from safetensors, and without running foreign code.

A model that sees single pictures sees each chosen frame; a clip's vector is the mean of their vectors of length one, as
the paper measures CLIP. X-CLIP sees the frames together. Texts go to the model as they are: `prepare_text` is ViCLIP's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from internvid.hub import HubModel
from internvid.scores.clip_tower import ClipTower
from internvid.viclip.checkpoint import preprocessing_of_processor
from internvid.viclip.precision import Precision
from internvid.viclip.preprocessing import Preprocessing
from internvid.video_text.frame_encoder import FRAMES, FrameEncoder

PICTURE_MODELS = ("clip", "siglip", "siglip2")  # `model_type` of the configuration
VIDEO_MODELS = ("xclip",)


class VideoTower(ClipTower):
    """A model that sees the frames of a clip together."""

    vector_method = "get_video_features"


class TransformersEncoder(FrameEncoder):
    """An encoder of a folder as `save_pretrained` writes it.

    frames: None: 8, or as many as X-CLIP was made for. Raises ValueError for a model of another type, without
    safetensors, or that cannot read so many frames.
    """

    def __init__(
        self,
        folder: str,
        device: str | torch.device = "cpu",
        *,
        frames: int | None = None,
        precision: Precision = "auto",
    ) -> None:
        self.hub_model = HubModel(folder)
        self.model_type = require_readable(self.hub_model)
        tower = VideoTower if self.model_type in VIDEO_MODELS else ClipTower
        self.tower = tower(self.hub_model, device=device)
        super().__init__(device, self._frames_of_model(frames), precision)

    @property
    def context_length(self) -> int:
        return int(self.tower.model.config.text_config.max_position_embeddings)

    def full_texts(self, texts: Sequence[str]) -> int:
        tokenizer = self.tower.tokenizer
        ids = tokenizer(list(texts), truncation=True, max_length=self.context_length)["input_ids"]
        return sum(len(text_ids) == self.context_length for text_ids in ids)

    def _embedded_texts(self, texts: Sequence[str]) -> np.ndarray:
        return self.tower.text_vectors(texts)

    def _inputs(self, videos: Sequence[np.ndarray]) -> dict[str, Tensor]:
        if self.model_type in VIDEO_MODELS:
            return {"pixel_values": self._preprocessing.pixels(videos)}
        pictures = [frame for video in videos for frame in video]
        if self.model_type == "siglip2":  # cut into patches, with their number and a mask
            processor = self.tower.hub_pixels.processor
            return dict(processor(images=pictures, return_tensors="pt"))
        return {"pixel_values": self.tower.pixels(pictures)}

    @torch.inference_mode()
    def _embedded(self, inputs: dict[str, Tensor]) -> Tensor:
        with self._autocast():
            if self.model_type in VIDEO_MODELS:
                pixels = self._preprocessing.normalised(inputs["pixel_values"].to(self.device))
                return functional.normalize(self.tower.model.get_video_features(pixels).pooler_output.float(), dim=1)
            if self.model_type == "siglip2":
                on_device = {name: value.to(self.device) for name, value in inputs.items()}
            else:
                model = self.tower.model
                pixels = self.tower.hub_pixels.on_device(inputs["pixel_values"], self.device, model.dtype)
                on_device = {"pixel_values": pixels}
            features = self.tower.model.get_image_features(**on_device).pooler_output
        return self._mean_of_frames(features)

    @cached_property
    def _preprocessing(self) -> Preprocessing:
        size = self.tower.model.config.vision_config.image_size
        files = self.hub_model.files
        assert files is not None, "the model was loaded from it"
        return preprocessing_of_processor(files / "preprocessor_config.json", size)

    def _frames_of_model(self, frames: int | None) -> int:
        if self.model_type not in VIDEO_MODELS:
            return frames or FRAMES
        of_model = int(self.tower.model.config.vision_config.num_frames)
        if frames not in (None, of_model):
            raise ValueError(f"{self.hub_model.name} reads {of_model} frames of a clip, not {frames}")
        return of_model


def require_readable(hub_model: HubModel) -> str:
    """Returns the model's type. Raises ValueError for a type that is not read, and for weights in no safetensors."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(**hub_model.source)
    known = (*PICTURE_MODELS, *VIDEO_MODELS)
    if config.model_type not in known:
        raise ValueError(f"{hub_model.name} is a model of type {config.model_type}; read are {', '.join(known)}")
    if hub_model.files is None or not any(hub_model.files.glob("*.safetensors")):
        raise ValueError(f"{hub_model.name} has no weights as safetensors, and other files can hold programs")
    return config.model_type
