"""Clips for training, as a torch data set: shuffled, divided among ranks and workers, and resumable.

An order is a sequence of steps; each step has a batch of clips, that of all ranks together. Ranks divide the rows of a
batch among them and workers take a rank's parts in turn, so what a step holds does not depend on their numbers: a
training that goes on at step 1,000 on other GPUs sees the same clips in the same order. The randomness of a sample
depends on seed, step and row alone.

    dataset = ClipDataset(Epochs(clips, batch_size=256, seed=1), ClipBatches(clips, frames=8, size=224, seed=1))
    for batch in DataLoader(dataset, batch_size=None, num_workers=4, multiprocessing_context="spawn"):
        ...

Where the clips are does not matter here (`internvid.viclip.clips.Clips`); `resources.training.dataset` opens those of a
lake. The training of ViCLIP reads through the same class, with an order and samples of its own
(`internvid.viclip.samples`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from internvid.viclip.clips import Clips
from internvid.viclip.frame_choice import random_frames
from internvid.viclip.preprocessing import Preprocessing

CLIPS_PER_READ = 16  # their frames are in memory together, 45 MB at 455x256; reading one clip at a time is slower


class Batch(Protocol):
    """The clips of a step. step: from 0, counted over all epochs. clips: positions, [batch] int64, of all ranks."""

    @property
    def step(self) -> int: ...

    @property
    def clips(self) -> np.ndarray: ...


B = TypeVar("B", bound=Batch)
OrderedBatch = TypeVar("OrderedBatch", bound=Batch, covariant=True)
Item = TypeVar("Item")


class Order(Protocol[OrderedBatch]):
    """Batches of clips, the same each time that they are asked for."""

    def batches(self, first_step: int = 0) -> Iterator[OrderedBatch]:
        """Yields the batches from `first_step` to the end."""
        ...


@dataclass(frozen=True)
class Rows(Generic[B]):
    """Rows of a batch that are loaded together. first_row: of the first clip, in the batch of all ranks.

    clips: positions, [rows] int64.
    """

    batch: B
    first_row: int
    clips: np.ndarray


class ClipDataset(IterableDataset, Generic[B, Item]):
    """What `load` makes of this rank's part of each batch, in order; in a worker, of every n-th part.

    A DataLoader with batch_size=None takes the parts from its workers in turn, and so has them in order again. Pickles
    to workers if order and loader do; start them by spawn, for Lance is not fork-safe.

    rank, ranks: which process of how many; None: of torch.distributed, else of RANK and WORLD_SIZE, else the only one.
    first_step: number of batches that were used before; the rest comes in the same order on any number of ranks.
    parts: parts that a batch is loaded in, at most one a row of this rank. A rank without a row has one empty part, so
    that all ranks have as many.
    Raises ValueError for a rank that is none of the ranks.
    """

    def __init__(
        self,
        order: Order[B],
        load: Callable[[Rows[B]], Item],
        *,
        rank: int | None = None,
        ranks: int | None = None,
        first_step: int = 0,
        parts: Callable[[B], int] | None = None,
    ) -> None:
        current = current_rank()
        self.rank, self.ranks = current[0] if rank is None else rank, current[1] if ranks is None else ranks
        if not 0 <= self.rank < self.ranks or first_step < 0:
            raise ValueError(f"rank {self.rank} of {self.ranks} from step {first_step} on: there is no such part")
        self.order, self.load, self.first_step, self.parts = order, load, first_step, parts

    def __iter__(self) -> Iterator[Item]:
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for index, rows in enumerate(self.rows()):
            if index % workers == number:
                yield self.load(rows)

    def rows(self) -> Iterator[Rows[B]]:
        """Yields the parts of this rank, without loading them."""
        for batch in self.order.batches(self.first_step):
            count = 1 if self.parts is None else self.parts(batch)
            for part in part_ranges(len(batch.clips), self.rank, self.ranks, count):
                yield Rows(batch, part.start, batch.clips[part.start : part.stop])


def current_rank() -> tuple[int, int]:
    """Returns the rank of this process, and the number of ranks."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def rows_of_rank(batch_size: int, rank: int, ranks: int) -> tuple[int, int]:
    """Returns the first row and the end (exclusive) of the rank's part of a batch; parts differ by at most one row."""
    return batch_size * rank // ranks, batch_size * (rank + 1) // ranks


def part_ranges(batch_size: int, rank: int, ranks: int, count: int) -> list[range]:
    """Returns the rows of each of this rank's parts of a batch; the parts differ by at most one row."""
    first, end = rows_of_rank(batch_size, rank, ranks)
    count = max(1, min(count, end - first))
    spans = [rows_of_rank(end - first, number, count) for number in range(count)]
    return [range(first + start, first + stop) for start, stop in spans]


# ---- an order for any trainer ----


@dataclass(frozen=True)
class EpochBatch:
    """A batch of `Epochs`."""

    step: int
    epoch: int
    clips: np.ndarray


class WeightedClips(Clips, Protocol):
    """Clips with weights. weights: [clips] float64, above 0."""

    @property
    def weights(self) -> np.ndarray: ...


class Epochs:
    """Every clip once an epoch, in a random order that depends on seed and epoch.

    clips: only their number is read, and their weights. batch_size: of all ranks together; the last batch of an epoch
    has what is left, or is left out with `drop_last`. epochs: None goes on for ever.
    by_weight: an epoch draws as many clips as there are, with replacement, each with a chance like its weight.
    Raises ValueError for a batch size below one, or no clip.
    """

    def __init__(
        self,
        clips: Clips | WeightedClips,
        *,
        batch_size: int,
        seed: int = 0,
        epochs: int | None = 1,
        drop_last: bool = False,
        by_weight: bool = False,
    ) -> None:
        self.clips, self.batch_size, self.seed, self.epochs = clips, batch_size, seed, epochs
        self.drop_last, self.by_weight = drop_last, by_weight
        if batch_size < 1 or self.steps_per_epoch < 1:
            raise ValueError(f"{len(clips)} clips make no batch of {batch_size}")

    @property
    def steps_per_epoch(self) -> int:
        return len(self.clips) // self.batch_size if self.drop_last else -(-len(self.clips) // self.batch_size)

    def batches(self, first_step: int = 0) -> Iterator[EpochBatch]:
        epoch, first = divmod(first_step, self.steps_per_epoch)
        while self.epochs is None or epoch < self.epochs:
            order = self.order(epoch)
            for index in range(first, self.steps_per_epoch):
                rows = order[index * self.batch_size : (index + 1) * self.batch_size]
                yield EpochBatch(epoch * self.steps_per_epoch + index, epoch, rows)
            epoch, first = epoch + 1, 0

    def order(self, epoch: int) -> np.ndarray:
        """Returns the positions of the epoch's clips, [clips] int64."""
        rng = np.random.default_rng([self.seed, epoch])
        if not self.by_weight:
            return rng.permutation(len(self.clips))
        ends = np.cumsum(self.clips.weights)  # type: ignore[union-attr]  # the caller gave WeightedClips
        return np.searchsorted(ends, rng.random(len(self.clips)) * ends[-1], side="right").astype(np.int64)


# ---- samples for any trainer ----


@dataclass(frozen=True)
class ClipBatch:
    """A rank's rows of a step. frames: [rows, frames, 3, size, size] uint8. weights: [rows] float64."""

    step: int
    epoch: int
    clip_ids: list[str]
    captions: list[str]
    weights: Tensor
    frames: Tensor


class ClipBatches:
    """Loads rows as a `ClipBatch`: random frames of each clip, one random crop of them, resized, perhaps mirrored.

    frames: number of each clip, one of every segment of it. size: of the square, pixels. crop_scale: least and largest
    share of the picture in the crop. seed: with step and row it decides what is random.
    """

    def __init__(
        self,
        clips: Clips | WeightedClips,
        *,
        frames: int = 8,
        size: int = 224,
        crop_scale: tuple[float, float] = (0.5, 1.0),
        flip: bool = True,
        seed: int = 0,
    ) -> None:
        self.clips, self.frames, self.crop_scale, self.flip, self.seed = clips, frames, crop_scale, flip, seed
        self.preprocessing = Preprocessing(size)

    def __call__(self, rows: Rows[EpochBatch]) -> ClipBatch:
        size = self.preprocessing.image_size
        frames = torch.empty(len(rows.clips), self.frames, 3, size, size, dtype=torch.uint8)
        if get_worker_info() is not None:
            frames.share_memory_()  # before it is filled: what the worker writes is what the trainer reads
        for first in range(0, len(rows.clips), CLIPS_PER_READ):
            self._fill(frames, rows, range(first, min(first + CLIPS_PER_READ, len(rows.clips))))
        positions = rows.clips.tolist()
        weights = getattr(self.clips, "weights", None)
        return ClipBatch(
            step=rows.batch.step,
            epoch=rows.batch.epoch,
            clip_ids=self.clips.clip_ids(positions),
            captions=self.clips.captions(positions),
            weights=torch.from_numpy(np.ones(len(positions)) if weights is None else np.array(weights[rows.clips])),
            frames=frames,
        )

    def _fill(self, frames: Tensor, rows: Rows[EpochBatch], read: range) -> None:
        generators = [generators_of_row(self.seed, rows.batch.step, rows.first_row + row) for row in read]
        picks = [
            (clip, random_frames(int(self.clips.frame_counts[clip]), self.frames, rng))
            for clip, (rng, _) in zip(rows.clips[read.start : read.stop].tolist(), generators, strict=True)
        ]
        for row, video, (_, generator) in zip(read, self.clips.frames(picks), generators, strict=True):
            frames[row] = self.preprocessing.augmented(
                video, crop_scale=self.crop_scale, flip=self.flip, generator=generator
            )


def generators_of_row(seed: int, step: int, row: int) -> tuple[np.random.Generator, torch.Generator]:
    """Returns the random numbers of a sample. row: in the batch of all ranks."""
    rng = np.random.default_rng([seed, step, row])
    return rng, torch.Generator().manual_seed(int(rng.integers(2**63)))


def loaded_by(dataset: ClipDataset[Any, Any], *, workers: int, pin_memory: bool = False) -> Iterator[Any]:
    """Returns the data set's items in order, loaded by so many processes, each two items ahead; 0: by this one."""
    from torch.utils.data import DataLoader

    loader = DataLoader(
        dataset,
        batch_size=None,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # unused, but without it the loader would draw from the process's global generator
    )
    return iter(loader)
