"""Embeds clips and texts with a checkpoint: used by search, by evaluation and for the lake's embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from internvid.viclip.checkpoint import Checkpoint
from internvid.viclip.clips import Clips
from internvid.viclip.frame_choice import CHOICES
from internvid.viclip.tokenizer import prepare_text

VIDEOS_PER_BATCH = 16
TEXTS_PER_BATCH = 256


class Encoder:
    """Returns embeddings as float32 vectors of length one: their dot product is the cosine.

    The other rows of a batch change a vector by less than 1e-5 (rounding).
    frames: number of frames that represent a clip; None: the length of the model's temporal embedding.
    """

    def __init__(
        self, checkpoint: Checkpoint, device: str | torch.device = "cpu", *, frames: int | None = None
    ) -> None:
        self.device = torch.device(device)
        self.model = checkpoint.model.to(self.device).eval()
        self.tokenizer, self.preprocessing = checkpoint.tokenizer, checkpoint.preprocessing
        self.frames = frames or self.model.config.frames

    @property
    def width(self) -> int:
        """Length of a vector."""
        return self.model.config.embed_dim

    def encode_clips(
        self, clips: Clips, positions: Sequence[int], *, choice: str = "middle", batch_size: int = VIDEOS_PER_BATCH
    ) -> np.ndarray:
        """Returns [n, width], in the order of `positions`. Reads the chosen frames only, one batch at a time.

        choice: a name of `frame_choice.CHOICES`. Clips with too few frames repeat their last one.
        """
        choose = _choice(choice)
        counts = clips.frame_counts

        def batch_frames(batch: Sequence[int]) -> list[np.ndarray]:
            return clips.frames([(position, choose(int(counts[position]), self.frames)) for position in batch])

        positions = [int(position) for position in positions]
        return self._vectors(self._video_embeddings(batch_frames(batch)) for batch in _batches(positions, batch_size))

    def encode_videos(
        self, videos: Sequence[np.ndarray], *, choice: str = "middle", batch_size: int = VIDEOS_PER_BATCH
    ) -> np.ndarray:
        """Returns [n, width]. videos: each [t, h, w, 3] uint8 RGB, of any t, h and w; `choice` selects their frames."""
        choose = _choice(choice)
        chosen_frames = [video[choose(len(video), self.frames)] for video in videos]
        return self._vectors(self._video_embeddings(batch) for batch in _batches(chosen_frames, batch_size))

    def encode_texts(
        self, texts: Sequence[str], *, prepare: bool = True, batch_size: int = TEXTS_PER_BATCH
    ) -> np.ndarray:
        """Returns [m, width].

        prepare: apply `prepare_text`, as training and the paper's evaluation do; the published demonstration does not.
        """
        prepared = [prepare_text(text) for text in texts] if prepare else list(texts)
        return self._vectors(self._text_embeddings(batch) for batch in _batches(prepared, batch_size))

    @torch.inference_mode()
    def _video_embeddings(self, videos: Sequence[np.ndarray]) -> Tensor:
        return self.model.encode_video(self.preprocessing.frames(videos).to(self.device))

    @torch.inference_mode()
    def _text_embeddings(self, texts: Sequence[str]) -> Tensor:
        token_ids = self.tokenizer(texts)
        max_length = int(token_ids.argmax(dim=1).max()) + 1  # tokens after the end token have no effect
        return self.model.encode_text(token_ids[:, :max_length].to(self.device))

    def _vectors(self, embeddings: Iterator[Tensor]) -> np.ndarray:
        parts = [functional.normalize(part.float(), dim=1).cpu().numpy() for part in embeddings]
        return np.concatenate(parts) if parts else np.zeros((0, self.width), np.float32)


def _choice(name: str) -> Callable[[int, int], list[int]]:
    if name not in CHOICES:
        raise ValueError(f"frames are chosen as {' or '.join(CHOICES)}, not {name}")
    return CHOICES[name]


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
