"""What encoders of other people's models share: frames are chosen, prepared ahead and embedded batch by batch."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from internvid.ahead import prepared_ahead
from internvid.batches import in_batches
from internvid.viclip.clips import StoredFrames
from internvid.viclip.device import Use, Waits, peak_memory_bytes
from internvid.viclip.frame_choice import chosen_by
from internvid.viclip.precision import Precision, precision_on

FRAMES = 8  # of a clip, for models that see single pictures: as many as the paper evaluates CLIP with
CLIPS_PER_BATCH = 16
TEXTS_PER_BATCH = 256
THREADS = 4  # that prepare frames ahead of a GPU


class FrameEncoder(ABC):
    """Returns embeddings as float32 vectors of length one, as `internvid.viclip.encoder.Encoder` does.

    frames: number of frames that represent a clip. precision: of the computation; auto: bfloat16 on a GPU, float32 on a
    CPU. Texts go to these models as they are: `prepare_text` is ViCLIP's.
    """

    prepares_texts = False

    def __init__(self, device: str | torch.device, frames: int, precision: Precision) -> None:
        self.device = torch.device(device)
        self.frames = frames
        self.precision: Literal["float32", "bfloat16"] = precision_on(self.device.type, precision)
        self.threads = THREADS if self.device.type == "cuda" else 0
        self.waits = Waits(self.device)
        self._clips, self._seconds, self._waited = 0, 0.0, 0.0

    @property
    @abstractmethod
    def context_length(self) -> int:
        """Tokens of a text that the model reads."""

    @abstractmethod
    def full_texts(self, texts: Sequence[str]) -> int:
        """Returns how many texts reach the tokens that the model reads."""

    @abstractmethod
    def _inputs(self, videos: Sequence[np.ndarray]) -> dict[str, Tensor]:
        """Prepares frames as the model wants them. videos: each [frames, height, width, 3] uint8."""

    @abstractmethod
    def _embedded(self, inputs: dict[str, Tensor]) -> Tensor:
        """Returns [clips, width] of length one, on the device."""

    @abstractmethod
    def _embedded_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Returns [texts, width] of length one."""

    @cached_property
    def width(self) -> int:
        """Length of a vector."""
        return self.encode_texts(["a clip"]).shape[1]

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
            return np.concatenate([self._embedded_texts(batch) for batch in in_batches(texts, batch_size)])

    def _vectors(
        self, read: Callable[[Sequence[Any]], list[np.ndarray]], clips: Sequence[Any], batch_size: int | None
    ) -> np.ndarray:
        self.waits.take()
        began = time.perf_counter()
        batches = in_batches(clips, batch_size or CLIPS_PER_BATCH)
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

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def _mean_of_frames(self, features: Tensor) -> Tensor:
        """Returns the mean of each clip's frames, [clips, width]. features: [clips * frames, width], of any length."""
        of_frames = functional.normalize(features.float(), dim=1).unflatten(0, (-1, self.frames))
        return functional.normalize(of_frames.mean(1), dim=1)
