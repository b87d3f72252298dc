"""Training samples: random frames of a clip, cropped, mirrored and masked, with the token ids of its caption.

The randomness of a sample depends only on the recipe's seed, the step, and the row in the batch of all ranks. It does
not depend on the rank or the worker process that makes the sample.

A sample leaves its worker as bytes, and only with the patches that masking keeps: 0.12 MB with 0.9 masked, where 8
frames of 224x224 are 1.2 MB as bytes and 4.8 MB normalised. A worker makes a whole slice in shared memory, so that
nothing is joined in the training process. The device normalises.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from internvid.data import CLIPS_PER_READ, ClipDataset, Rows, generators_of_row, loaded_by, part_ranges
from internvid.viclip.clips import Clips
from internvid.viclip.frame_choice import random_frames
from internvid.viclip.model import patches_of, random_keep
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.recipe import Recipe
from internvid.viclip.sampling import Batch, Plan
from internvid.viclip.tokenizer import Tokenizer, prepare_text

TOKENS_STEP = 8  # texts are cut to a multiple of it: few shapes, and no more than 7 tokens too many


@dataclass(frozen=True)
class SliceRows:
    """Rows of a step's batch that are loaded together.

    first_row: row of the first clip in the batch of all ranks. clips: positions, [rows] int64.
    """

    step: int
    mask_ratio: float
    first_row: int
    clips: np.ndarray


@dataclass(frozen=True)
class Slice:
    """Rows of a step's batch that go through the network together.

    patches: [rows, kept, 3, p, p] uint8, as `patches_of` cuts them. token_ids: [rows, tokens] int64. keep: [rows, kept]
    int64; None without masking. path_chances: [rows, 2 · layers] float32 in 0..1, the random values of drop path.
    """

    patches: Tensor
    token_ids: Tensor
    keep: Tensor | None
    path_chances: Tensor

    def __len__(self) -> int:
        return len(self.patches)

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in vars(self).values() if tensor is not None)

    def each(self, change: Callable[[Tensor], Tensor]) -> Slice:
        """Returns the slice with each of its tensors changed."""
        keep = None if self.keep is None else change(self.keep)
        return Slice(change(self.patches), change(self.token_ids), keep, change(self.path_chances))

    def pin_memory(self) -> Slice:
        """Returns the slice in pinned memory: the DataLoader's thread calls it."""
        return self.each(Tensor.pin_memory)


class Samples:
    """Loads rows of a step's batch as a slice. It can be pickled to worker processes if the clips can.

    all_tokens: keep texts at the model's full length, so that all slices have one shape.
    """

    def __init__(self, clips: Clips, recipe: Recipe, tokenizer: Tokenizer, *, all_tokens: bool = False) -> None:
        self.clips, self.recipe, self.tokenizer, self.all_tokens = clips, recipe, tokenizer, all_tokens
        self.preprocessing = Preprocessing.from_recipe(recipe)
        self.frame_counts = clips.frame_counts

    def __getitem__(self, rows: SliceRows) -> Slice:
        slice_ = empty_slice(self.recipe, len(rows.clips), rows.mask_ratio)
        if get_worker_info() is not None:
            slice_.each(Tensor.share_memory_)  # before it is filled: what the worker writes is what training reads
        for first in range(0, len(rows.clips), CLIPS_PER_READ):
            self._fill(slice_, rows, range(first, min(first + CLIPS_PER_READ, len(rows.clips))))
        captions = [prepare_text(caption) for caption in self.clips.captions(rows.clips.tolist())]
        token_ids = self.tokenizer(captions)
        if not self.all_tokens:
            # The end token has the largest id, and tokens after it have no effect.
            max_length = int(token_ids.argmax(dim=1).max()) + 1
            token_ids = token_ids[:, : TOKENS_STEP * math.ceil(max_length / TOKENS_STEP)].contiguous()
        return replace(slice_, token_ids=token_ids)

    def load(self, rows: Rows[Batch]) -> Slice:
        """Returns the rows of a batch of the recipe's plan."""
        return self[SliceRows(rows.batch.step, rows.batch.plan.phase.mask_ratio, rows.first_row, rows.clips)]

    def _fill(self, slice_: Slice, rows: SliceRows, read: range) -> None:
        """Fills the rows `read` of the slice, but for their texts."""
        recipe = self.recipe
        generators = [generators_of_row(recipe.seed, rows.step, rows.first_row + row) for row in read]
        picks = [
            (clip, random_frames(int(self.frame_counts[clip]), recipe.frames, rng))
            for clip, (rng, _) in zip(rows.clips[read.start : read.stop].tolist(), generators, strict=True)
        ]
        for row, frames, (_, generator) in zip(read, self.clips.frames(picks), generators, strict=True):
            video = self.preprocessing.augmented(
                frames, crop_scale=recipe.crop_scale, flip=recipe.horizontal_flip, generator=generator
            )
            slice_.path_chances[row] = torch.rand(slice_.path_chances.shape[1], generator=generator)
            keep = None
            if slice_.keep is not None:
                keep = random_keep(
                    recipe.model, batch=1, frames=recipe.frames, mask_ratio=rows.mask_ratio, generator=generator
                )
                slice_.keep[row] = keep[0]
            slice_.patches[row] = patches_of(video[None], recipe.model.patch_size, keep)[0]


def empty_slice(recipe: Recipe, rows: int, mask_ratio: float) -> Slice:
    """Returns a slice of that shape whose values are not set; its texts have the model's full length."""
    config = recipe.model
    tokens = config.patches_per_frame * recipe.frames
    kept = tokens - int(mask_ratio * tokens)
    return Slice(
        patches=torch.empty(rows, kept, 3, config.patch_size, config.patch_size, dtype=torch.uint8),
        token_ids=torch.zeros(rows, config.context_length, dtype=torch.int64),
        keep=torch.empty(rows, kept, dtype=torch.int64) if mask_ratio else None,
        path_chances=torch.empty(rows, 2 * config.vision_layers),
    )


def batches_with_samples(
    samples: Samples,
    plan: Plan,
    *,
    first_step: int,
    rank: int,
    ranks: int,
    slices: Mapping[int, int],
    workers: int,
    pin_memory: bool,
) -> Iterator[tuple[Batch, list[Slice]]]:
    """Yields batches from `first_step` on, each with this rank's rows in slices.

    slices: number of slices of a batch, by the number of its phase. workers: number of processes that load samples,
    started by spawn; each holds two slices that are not used yet, and the order of an epoch (80 MB for ten million
    clips). 0: loading happens in this process.
    """
    dataset = ClipDataset(
        PlannedBatches(samples.recipe, samples.clips),
        samples.load,
        rank=rank,
        ranks=ranks,
        first_step=first_step,
        parts=SlicesOfPhases(slices),
    )
    loaded = loaded_by(dataset, workers=workers, pin_memory=pin_memory)
    for batch in plan.batches(first_step):
        parts = part_ranges(len(batch.clips), rank, ranks, slices[batch.plan.number])
        yield batch, [next(loaded) for _ in parts]


@dataclass(frozen=True)
class PlannedBatches:
    """The order of a recipe's plan. Pickles as the recipe and the clips do: a plan of many clips is large."""

    recipe: Recipe
    clips: Clips

    def batches(self, first_step: int = 0) -> Iterator[Batch]:
        return Plan(self.recipe, self.clips.video_numbers).batches(first_step)


@dataclass(frozen=True)
class SlicesOfPhases:
    """Number of slices of a batch. by_phase: by the number of its phase."""

    by_phase: Mapping[int, int]

    def __call__(self, batch: Batch) -> int:
        return self.by_phase[batch.plan.number]


class Uploads:
    """Copies slices to a device, one ahead of the one in use, on a stream of its own."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def begin(self, slice_: Slice) -> Upload:
        """Starts the copy. From pinned memory this does not wait for what the device computes."""
        if self.stream is None:
            return Upload(slice_.each(lambda tensor: tensor.to(self.device)), None)
        with torch.cuda.stream(self.stream):
            copy = slice_.each(lambda tensor: tensor.to(self.device, non_blocking=True))
            copied = torch.cuda.Event()
            copied.record(self.stream)
        return Upload(copy, copied)

    def each(self, slices: Sequence[Slice], first: Upload) -> Iterator[Slice]:
        """Yields the slices on the device. first: the upload of the first one."""
        upload = first
        for following in slices[1:]:
            begun = self.begin(following)
            yield upload.ready()
            upload = begun
        yield upload.ready()


@dataclass(frozen=True)
class Upload:
    """A copy that was started. copied: reached by the stream once the copy is complete; None: it is complete."""

    slice_: Slice
    copied: torch.cuda.Event | None

    def ready(self) -> Slice:
        """Returns the slice for use on the current stream, which waits for the copy; this process does not."""
        if self.copied is not None:
            current = torch.cuda.current_stream(self.slice_.patches.device)
            current.wait_event(self.copied)
            # The memory was allocated on the other stream, and must not be reused there while this one reads it.
            for tensor in vars(self.slice_).values():
                if tensor is not None:
                    tensor.record_stream(current)
        return self.slice_
