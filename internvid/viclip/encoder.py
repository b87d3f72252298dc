"""Embeds clips and texts with a checkpoint: used by search, by evaluation and for the lake's embeddings.

Frames travel as bytes: they are read, decoded and resized by threads ahead of the device, copied from pinned memory on
a stream of their own, and normalised on the device.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from internvid.ahead import prepared_ahead
from internvid.batches import in_batches
from internvid.viclip.arithmetic import forward_flops, measured_peak
from internvid.viclip.checkpoint import Checkpoint
from internvid.viclip.clips import StoredFrames
from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.device import Use, Waits, peak_memory_bytes
from internvid.viclip.frame_choice import chosen_by
from internvid.viclip.model import patches_of
from internvid.viclip.precision import Precision, precision_on
from internvid.viclip.tokenizer import prepare_text

VIDEOS_PER_BATCH = 16  # on a CPU
MAX_VIDEOS_PER_BATCH = 64  # on a GPU: 131,000 tokens of ViCLIP-L/14 fill an H100, more only take memory
TEXTS_PER_BATCH = 256
CLIPS_PER_READ = 16  # their frames are in memory together, before they are resized
SHARE_OF_MEMORY = 0.5  # of a GPU's free memory, for what one batch takes: other programs may use the card
BYTES_PER_VALUE = 64  # of a token in the vision tower: the values of a block that exist at one time
MAX_THREADS = 8  # that prepare frames; on a slow core one thread prepares 70 clips of 455x256 a second
# So many clips take an H100 some 17 s with ViCLIP-L/14 (247 a second, and 280 compiled): a search compiles nothing.
COMPILE_AFTER_CLIPS = 4096


class Encoder:
    """Returns embeddings as float32 vectors of length one: their dot product is the cosine.

    The other rows of a batch change a vector by less than 1e-5 (rounding) in float32.
    frames: number of frames that represent a clip; None: the length of the model's temporal embedding. precision: of
    the computation; auto: bfloat16 on a GPU, float32 on a CPU.
    threads: number of threads that prepare batches ahead of the device; 0: none does. prepares_texts: whether texts are
    to be prepared for this model.
    """

    prepares_texts = True

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: str | torch.device = "cpu",
        *,
        frames: int | None = None,
        precision: Precision = "auto",
    ) -> None:
        self.device = torch.device(device)
        self.model = checkpoint.model.to(self.device).eval()
        self.tokenizer, self.preprocessing = checkpoint.tokenizer, checkpoint.preprocessing
        self.frames = frames or self.model.config.frames
        self.precision: Literal["float32", "bfloat16"] = precision_on(self.device.type, precision)
        self.on_gpu = self.device.type == "cuda"
        self.clips_per_batch = self._clips_per_batch()
        # On a CPU nothing is prepared ahead: it would take the model's cores.
        self.threads = min(MAX_THREADS, os.cpu_count() or 1) if self.on_gpu else 0
        self.waits = Waits(self.device)
        self.stream = torch.cuda.Stream(self.device) if self.on_gpu else None
        self._encoded_clips, self._is_compiled = 0, False
        self._seconds, self._waited = 0.0, 0.0  # in which clips were encoded

    @property
    def width(self) -> int:
        """Length of a vector."""
        return self.model.config.embed_dim

    @property
    def context_length(self) -> int:
        """Tokens of a text that the model reads."""
        return self.tokenizer.context_length

    def full_texts(self, texts: Sequence[str]) -> int:
        """Returns how many texts, after `prepare_text`, reach the tokens that the model reads."""
        return int((self.tokenizer(texts)[:, -1] != 0).sum())

    def use(self) -> Use:
        """Returns how well the device was used for encoding clips, since this encoder was made."""
        seconds = max(self._seconds, 1e-9)
        peak_share = None
        if self.on_gpu:
            flops = self._encoded_clips * forward_flops(self.model.config, frames=self.frames)[0]
            peak_share = flops / seconds / self._peak
        return Use(self._encoded_clips / seconds, self._waited / seconds, peak_share, peak_memory_bytes(self.device))

    @cached_property
    def _peak(self) -> float:
        return measured_peak(self.device, torch.bfloat16 if self.precision == "bfloat16" else torch.float32)

    def encode_clips(
        self, clips: StoredFrames, positions: Sequence[int], *, choice: str = "middle", batch_size: int | None = None
    ) -> np.ndarray:
        """Returns [n, width], in the order of `positions`. Reads the chosen frames only, few batches at a time.

        choice: a name of `frame_choice.CHOICES`. Clips with too few frames repeat their last one. batch_size: None:
        as many as the device takes.
        """
        choose = chosen_by(choice)
        counts = clips.frame_counts

        def pixels(batch: Sequence[int]) -> Tensor:
            resized = []
            for read in in_batches(batch, CLIPS_PER_READ):
                picks = [(position, choose(int(counts[position]), self.frames)) for position in read]
                resized.append(self.preprocessing.pixels(clips.frames(picks)))
            return torch.cat(resized) if len(resized) > 1 else resized[0]

        return self._video_vectors(pixels, [int(position) for position in positions], batch_size)

    def encode_videos(
        self, videos: Sequence[np.ndarray], *, choice: str = "middle", batch_size: int | None = None
    ) -> np.ndarray:
        """Returns [n, width]. videos: each [t, h, w, 3] uint8 RGB, of any t, h and w; `choice` selects their frames."""
        choose = chosen_by(choice)
        chosen_frames = [video[choose(len(video), self.frames)] for video in videos]
        return self._video_vectors(self.preprocessing.pixels, chosen_frames, batch_size)

    def encode_tokens(self, videos: Sequence[np.ndarray], *, choice: str = "middle") -> np.ndarray:
        """Returns [n, 1 + frames, w] float16, w the width of the vision tower: the class token, and the mean over the
        places of each frame. Of a video as `encode_videos` takes it; for probes that read more than one vector.
        """
        choose, parts = chosen_by(choice), []
        for batch in in_batches([video[choose(len(video), self.frames)] for video in videos], self.clips_per_batch):
            parts.append(self._tokens(self.preprocessing.pixels(batch).to(self.device)).cpu().numpy())
        width = self.model.config.vision_width
        return np.concatenate(parts) if parts else np.zeros((0, 1 + self.frames, width), np.float16)

    @torch.inference_mode()
    def _tokens(self, pixels: Tensor) -> Tensor:
        with self._autocast():
            patches = patches_of(self.preprocessing.normalised(pixels), self.model.config.patch_size, None)
            tokens = self.model.vision_encoder.space_time_tokens(patches, self.frames)
        of_frames = tokens[:, 1:].unflatten(1, (-1, self.frames)).mean(1)  # n-major, t-minor
        return torch.cat([tokens[:, :1], of_frames], dim=1).half()

    def encode_texts(
        self, texts: Sequence[str], *, prepare: bool = True, batch_size: int = TEXTS_PER_BATCH
    ) -> np.ndarray:
        """Returns [m, width].

        prepare: apply `prepare_text`, as training and the paper's evaluation do; the published demonstration does not.
        """
        prepared = [prepare_text(text) for text in texts] if prepare else list(texts)
        return self._vectors(self._token_ids, in_batches(prepared, batch_size), self._text_embeddings)

    def _video_vectors(
        self, pixels: Callable[[Any], Tensor], videos: Sequence[Any], batch_size: int | None
    ) -> np.ndarray:
        """pixels: returns [b, t, 3, size, size] uint8 of a batch of `videos`, in whatever form they are."""
        size = batch_size or self.clips_per_batch
        self.waits.take()  # those for texts
        began = time.perf_counter()
        vectors = self._vectors(pixels, in_batches(videos, size), partial(self._video_embeddings, full=size))
        self._seconds += time.perf_counter() - began
        self._waited += self.waits.take()
        return vectors

    def _vectors(
        self, prepare: Callable[[Any], Tensor], batches: Iterable[Any], embed: Callable[[Tensor], Tensor]
    ) -> np.ndarray:
        parts = [functional.normalize(embed(batch).float(), dim=1) for batch in self._prepared(prepare, batches)]
        # Only at the end are they copied back: a copy waits for the device, which would then wait for the next batch.
        return torch.cat(parts).cpu().numpy() if parts else np.zeros((0, self.width), np.float32)

    def _prepared(self, prepare: Callable[[Any], Tensor], batches: Iterable[Any]) -> Iterator[Tensor]:
        """Yields each batch on the device."""
        # Each thread prepares a batch of its own, so torch's own threads would only be in each other's way.
        one_thread = partial(torch.set_num_threads, 1) if self.threads else None
        pinned = (lambda batch: prepare(batch).pin_memory()) if self.on_gpu else prepare
        prepared = prepared_ahead(pinned, batches, threads=self.threads, initializer=one_thread)
        with closing(prepared):
            while True:
                with self.waits.pause():
                    batch = next(prepared, None)
                if batch is None:
                    return
                yield self._uploaded(batch)

    def _uploaded(self, tensor: Tensor) -> Tensor:
        if self.stream is None:
            return tensor.to(self.device)
        with torch.cuda.stream(self.stream):
            uploaded = tensor.to(self.device, non_blocking=True)
        current = torch.cuda.current_stream(self.device)
        current.wait_stream(self.stream)
        uploaded.record_stream(current)
        return uploaded

    @torch.inference_mode()
    def _video_embeddings(self, pixels: Tensor, *, full: int) -> Tensor:
        """pixels: [b, t, 3, size, size] uint8, on the device. full: clips of a full batch."""
        clips = len(pixels)
        self._encoded_clips += clips
        if self.on_gpu and not self._is_compiled and self._encoded_clips > COMPILE_AFTER_CLIPS:
            self._is_compiled = True
            for block in self.model.vision_encoder.transformer.resblocks:
                block.compile(dynamic=False)
        if self._is_compiled and clips < full:  # for another shape all would be compiled again
            pixels = functional.pad(pixels, (0, 0, 0, 0, 0, 0, 0, 0, 0, full - clips))
        with self._autocast():
            return self.model.encode_video(self.preprocessing.normalised(pixels))[:clips]

    def _token_ids(self, texts: Sequence[str]) -> Tensor:
        token_ids = self.tokenizer(texts)
        max_length = int(token_ids.argmax(dim=1).max()) + 1  # tokens after the end token have no effect
        return token_ids[:, :max_length]

    @torch.inference_mode()
    def _text_embeddings(self, token_ids: Tensor) -> Tensor:
        with self._autocast():
            return self.model.encode_text(token_ids)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def _clips_per_batch(self) -> int:
        if not self.on_gpu:
            return VIDEOS_PER_BATCH
        free = torch.cuda.mem_get_info(self.device)[0] * SHARE_OF_MEMORY
        return clips_within(free, self.model.config, self.frames)


def clips_within(free_bytes: float, config: ViCLIPConfig, frames: int) -> int:
    """Returns how many clips of a forward pass fit into the memory, from 1 to MAX_VIDEOS_PER_BATCH."""
    tokens = 1 + config.patches_per_frame * frames
    return int(min(max(free_bytes // (tokens * config.vision_width * BYTES_PER_VALUE), 1), MAX_VIDEOS_PER_BATCH))
