"""Embeds clips and texts with a CLIP-like model of `transformers`: from safetensors, and without running foreign code.

A model that sees single pictures sees each chosen frame; a clip's vector is the mean of their vectors of length one, as
the paper measures CLIP. X-CLIP sees the frames together. Texts go to the model as they are: `prepare_text` is ViCLIP's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from internvid.ahead import prepared_ahead
from internvid.hub import HubModel
from internvid.scores.clip_tower import ClipTower
from internvid.viclip.checkpoint import preprocessing_of_processor
from internvid.viclip.clips import StoredFrames
from internvid.viclip.device import Use, Waits, peak_memory_bytes
from internvid.viclip.frame_choice import chosen_by
from internvid.viclip.precision import Precision, precision_on
from internvid.viclip.preprocessing import Preprocessing

PICTURE_MODELS = ("clip", "siglip", "siglip2")  # `model_type` of the configuration
VIDEO_MODELS = ("xclip",)
FRAMES = 8  # of a clip, for models that see single pictures: as many as the paper evaluates CLIP with
CLIPS_PER_BATCH = 16
TEXTS_PER_BATCH = 256
THREADS = 4  # that prepare frames ahead of a GPU


class VideoTower(ClipTower):
    """A model that sees the frames of a clip together."""

    vector_method = "get_video_features"


class TransformersEncoder:
    """Returns embeddings as float32 vectors of length one, as `internvid.viclip.encoder.Encoder` does.

    frames: number of frames that represent a clip; None: 8, or as many as X-CLIP was made for. precision: of the
    computation; auto: bfloat16 on a GPU, float32 on a CPU.
    Raises ValueError for a model of another type, without safetensors, or that cannot read so many frames.
    """

    prepares_texts = False

    def __init__(
        self,
        folder: str,
        device: str | torch.device = "cpu",
        *,
        frames: int | None = None,
        precision: Precision = "auto",
    ) -> None:
        self.hub_model = HubModel(folder)
        self.device = torch.device(device)
        self.precision: Literal["float32", "bfloat16"] = precision_on(self.device.type, precision)
        self.model_type = require_readable(self.hub_model)
        tower = VideoTower if self.model_type in VIDEO_MODELS else ClipTower
        self.tower = tower(self.hub_model, device=self.device)
        self.frames = self._frames_of_model(frames)
        self.threads = THREADS if self.device.type == "cuda" else 0
        self.waits = Waits(self.device)
        self._clips, self._seconds, self._waited = 0, 0.0, 0.0

    @cached_property
    def width(self) -> int:
        """Length of a vector."""
        return self.encode_texts(["a clip"]).shape[1]

    @property
    def context_length(self) -> int:
        """Tokens of a text that the model reads."""
        return int(self.tower.model.config.text_config.max_position_embeddings)

    def use(self) -> Use:
        """Returns how well the device was used for encoding clips, since this encoder was made."""
        seconds = max(self._seconds, 1e-9)
        return Use(self._clips / seconds, self._waited / seconds, None, peak_memory_bytes(self.device))

    def encode_clips(
        self, clips: StoredFrames, positions: Sequence[int], *, choice: str = "middle", batch_size: int | None = None
    ) -> np.ndarray:
        """Returns [n, width], in the order of `positions`, as `Encoder.encode_clips` does."""
        choose, counts = chosen_by(choice), clips.frame_counts

        def videos(batch: Sequence[int]) -> list[np.ndarray]:
            return clips.frames([(at, choose(int(counts[at]), self.frames)) for at in batch])

        return self._vectors(videos, [int(position) for position in positions], batch_size)

    def encode_videos(
        self, videos: Sequence[np.ndarray], *, choice: str = "middle", batch_size: int | None = None
    ) -> np.ndarray:
        """Returns [n, width]. videos: each [t, h, w, 3] uint8 RGB, of any t, h and w; `choice` selects their frames."""
        choose = chosen_by(choice)
        chosen_frames = [video[choose(len(video), self.frames)] for video in videos]
        return self._vectors(lambda batch: list(batch), chosen_frames, batch_size)

    def encode_texts(
        self, texts: Sequence[str], *, prepare: bool = True, batch_size: int = TEXTS_PER_BATCH
    ) -> np.ndarray:
        """Returns [m, width]. prepare: has no effect, these models were trained on texts as they are."""
        with self._autocast():
            parts = [self.tower.text_vectors(batch) for batch in _batches(texts, batch_size)]
        return np.concatenate(parts)

    def full_texts(self, texts: Sequence[str]) -> int:
        """Returns how many texts reach the tokens that the model reads."""
        tokenizer = self.tower.tokenizer
        ids = tokenizer(list(texts), truncation=True, max_length=self.context_length)["input_ids"]
        return sum(len(text_ids) == self.context_length for text_ids in ids)

    def _vectors(
        self, read: Callable[[Sequence[Any]], list[np.ndarray]], clips: Sequence[Any], batch_size: int | None
    ) -> np.ndarray:
        self.waits.take()
        began = time.perf_counter()
        batches = _batches(clips, batch_size or CLIPS_PER_BATCH)
        prepared = prepared_ahead(lambda batch: self._inputs(read(batch)), batches, threads=self.threads)
        parts = []
        with closing(prepared):
            while True:
                with self.waits.pause():
                    inputs = next(prepared, None)
                if inputs is None:
                    break
                parts.append(self._embedded(inputs))
        vectors = torch.cat(parts).cpu().numpy() if parts else np.zeros((0, self.width), np.float32)
        self._clips += len(clips)
        self._seconds += time.perf_counter() - began
        self._waited += self.waits.take()
        return vectors

    def _inputs(self, videos: Sequence[np.ndarray]) -> dict[str, Tensor]:
        """Prepares frames as the model's own processor does. videos: each [frames, height, width, 3] uint8."""
        if self.model_type in VIDEO_MODELS:
            return {"pixel_values": self._preprocessing.pixels(videos)}
        pictures = [frame for video in videos for frame in video]
        if self.model_type == "siglip2":  # cut into patches, with their number and a mask
            processor = self.tower.hub_pixels.processor
            return dict(processor(images=pictures, return_tensors="pt"))
        return {"pixel_values": self.tower.pixels(pictures)}

    @torch.inference_mode()
    def _embedded(self, inputs: dict[str, Tensor]) -> Tensor:
        """Returns [clips, width] of length one, on the device."""
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
            features = self.tower.model.get_image_features(**on_device).pooler_output.float()
        of_frames = functional.normalize(features, dim=1).unflatten(0, (-1, self.frames))
        return functional.normalize(of_frames.mean(1), dim=1)

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

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")


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


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
