"""Clips and texts as vectors, by a checkpoint: what search, evaluation and the lake's embeddings are made with."""

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
    """All vectors are float32 and of length one, so that their product is the cosine.

    A vector does not depend on what else is in its batch, but for the last digits (below 1e-5).
    frames: that each clip is seen in; None: as many as the model was made for.
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
        """Numbers of a vector."""
        return self.model.config.embed_dim

    def encode_clips(
        self, clips: Clips, positions: Sequence[int], *, choice: str = "middle", batch_size: int = VIDEOS_PER_BATCH
    ) -> np.ndarray:
        """[n, width], in the order of positions. Reads the frames of one batch at a time, and only those it needs.

        choice: a name of `frame_choice.CHOICES`. Clips of fewer frames than wanted repeat their last.
        """
        choose = _choice(choice)
        counts = clips.frame_counts

        def frames_of(batch: Sequence[int]) -> list[np.ndarray]:
            return clips.frames([(at, choose(int(counts[at]), self.frames)) for at in batch])

        positions = [int(position) for position in positions]
        return self._vectors(self._of_videos(frames_of(batch)) for batch in _batches(positions, batch_size))

    def encode_videos(
        self, videos: Sequence[np.ndarray], *, choice: str = "middle", batch_size: int = VIDEOS_PER_BATCH
    ) -> np.ndarray:
        """[n, width]. videos: each [t, h, w, 3] uint8 RGB, of any sizes, of which frames are chosen."""
        choose = _choice(choice)
        chosen = [video[choose(len(video), self.frames)] for video in videos]
        return self._vectors(self._of_videos(batch) for batch in _batches(chosen, batch_size))

    def encode_texts(
        self, texts: Sequence[str], *, prepare: bool = True, batch_size: int = TEXTS_PER_BATCH
    ) -> np.ndarray:
        """[m, width]. prepare: as texts were in training and are in evaluation; the demonstration does without."""
        prepared = [prepare_text(text) for text in texts] if prepare else list(texts)
        return self._vectors(self._of_texts(batch) for batch in _batches(prepared, batch_size))

    @torch.inference_mode()
    def _of_videos(self, videos: Sequence[np.ndarray]) -> Tensor:
        return self.model.encode_video(self.preprocessing.frames(videos).to(self.device))

    @torch.inference_mode()
    def _of_texts(self, texts: Sequence[str]) -> Tensor:
        token_ids = self.tokenizer(texts)
        longest = int(token_ids.argmax(dim=1).max()) + 1  # nothing sees what follows the end token
        return self.model.encode_text(token_ids[:, :longest].to(self.device))

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
