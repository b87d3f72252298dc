"""Training samples: random frames of a clip, cropped, mirrored and masked, with the token ids of its caption.

The randomness of a sample depends only on the recipe's seed, the step, and the row in the batch of all ranks. It does
not depend on the rank or the worker process that makes the sample.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from internvid.viclip.clips import Clips
from internvid.viclip.frame_choice import random_frames
from internvid.viclip.model import random_keep
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.recipe import Recipe
from internvid.viclip.sampling import Batch, Plan, rows_of_rank
from internvid.viclip.tokenizer import Tokenizer, prepare_text

CLIPS_PER_PART = 16  # with 8 frames of 224x224 in float32 this is 77 MB; reading frames one clip at a time is slower


@dataclass(frozen=True)
class Part:
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

    video: [rows, frames, 3, size, size] float32, normalised. token_ids: [rows, tokens] int64, cut after the last end
    token. keep: [rows, kept] int64; None without masking. path_chances: [rows, 2 · layers] float32 in 0..1, the random
    values of drop path.
    """

    video: Tensor
    token_ids: Tensor
    keep: Tensor | None
    path_chances: Tensor

    def to(self, device: torch.device) -> Slice:
        keep = None if self.keep is None else self.keep.to(device, non_blocking=True)
        video, token_ids, path_chances = (
            tensor.to(device, non_blocking=True) for tensor in (self.video, self.token_ids, self.path_chances)
        )
        return Slice(video, token_ids, keep, path_chances)


class Samples(Dataset):
    """A data set whose index is a Part. It can be pickled to worker processes if the clips can."""

    def __init__(self, clips: Clips, recipe: Recipe, tokenizer: Tokenizer) -> None:
        self.clips, self.recipe, self.tokenizer = clips, recipe, tokenizer
        self.preprocessing = Preprocessing.from_recipe(recipe)
        self.frame_counts = clips.frame_counts

    def __getitem__(self, part: Part) -> dict[str, Tensor]:
        recipe, positions = self.recipe, part.clips.tolist()
        generators = [_generators(recipe.seed, part.step, part.first_row + row) for row in range(len(positions))]
        picks = [
            (clip, random_frames(int(self.frame_counts[clip]), recipe.frames, rng))
            for clip, (rng, _) in zip(positions, generators, strict=True)
        ]
        videos = [
            self.preprocessing.augmented(
                frames, crop_scale=recipe.crop_scale, flip=recipe.horizontal_flip, generator=generator
            )
            for frames, (_, generator) in zip(self.clips.frames(picks), generators, strict=True)
        ]
        captions = [prepare_text(caption) for caption in self.clips.captions(positions)]
        blocks = recipe.model.vision_layers
        sample = {
            "video": torch.stack(videos),
            "token_ids": self.tokenizer(captions),
            "path_chances": torch.stack([torch.rand(2 * blocks, generator=generator) for _, generator in generators]),
        }
        if part.mask_ratio:
            keep = [
                random_keep(
                    recipe.model, batch=1, frames=recipe.frames, mask_ratio=part.mask_ratio, generator=generator
                )
                for _, generator in generators
            ]
            sample["keep"] = torch.cat(keep)
        return sample


def batches_with_samples(
    samples: Samples,
    plan: Plan,
    *,
    first_step: int,
    rank: int,
    ranks: int,
    workers: int,
    pin_memory: bool,
) -> Iterator[tuple[Batch, list[Slice]]]:
    """Yields batches from `first_step` on, each with this rank's rows in `recipe.accumulate` slices.

    workers: number of processes that load samples, started by spawn; 0: loading happens in this process.
    """

    def parts() -> Iterator[Part]:
        for batch in plan.batches(first_step):
            for rows in _slices(batch, rank, ranks, samples.recipe.accumulate):
                yield from _parts(batch, rows)

    loader = DataLoader(
        samples,
        batch_size=None,
        sampler=parts(),  # type: ignore[arg-type]  # any iterable does
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # unused, but without it the loader would draw from the process's global generator
    )
    loaded_parts = iter(loader)
    for batch in plan.batches(first_step):
        slices = []
        for rows in _slices(batch, rank, ranks, samples.recipe.accumulate):
            slices.append(_joined([next(loaded_parts) for _ in _parts(batch, rows)]))
        yield batch, slices


def _slices(batch: Batch, rank: int, ranks: int, accumulate: int) -> list[range]:
    """Returns the rows of each of this rank's slices."""
    first, end = rows_of_rank(len(batch.clips), rank, ranks)
    count = min(accumulate, end - first)
    spans = [rows_of_rank(end - first, number, count) for number in range(count)]
    return [range(first + start, first + stop) for start, stop in spans]


def _parts(batch: Batch, rows: range) -> list[Part]:
    return [
        Part(batch.step, batch.plan.phase.mask_ratio, part.start, batch.clips[part.start : part.stop])
        for part in (rows[start : start + CLIPS_PER_PART] for start in range(0, len(rows), CLIPS_PER_PART))
    ]


def _joined(parts: list[dict[str, Tensor]]) -> Slice:
    joined = {
        name: torch.cat([part[name] for part in parts]) if len(parts) > 1 else parts[0][name] for name in parts[0]
    }
    # The end token has the largest id. Lengths are multiples of 8: torch.compile compiles once per shape.
    max_length = 8 * math.ceil((int(joined["token_ids"].argmax(dim=1).max()) + 1) / 8)
    return Slice(joined["video"], joined["token_ids"][:, :max_length], joined.get("keep"), joined["path_chances"])


def _generators(seed: int, step: int, row: int) -> tuple[np.random.Generator, torch.Generator]:
    rng = np.random.default_rng([seed, step, row])
    return rng, torch.Generator().manual_seed(int(rng.integers(2**63)))
