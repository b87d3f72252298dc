"""Assigns clips to batches, for all steps of a recipe. The result depends on the recipe and the data only.

An epoch is a seeded permutation of the clips, cut into batches. Ranks divide the rows of a batch among them, so the
batches do not depend on the number of ranks. Everything is arrays, because data sets have ten million clips: their
permutation takes 0.5 seconds, and 8 seconds when clips of one video are kept apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from internvid.viclip.recipe import Phase, Recipe


@dataclass(frozen=True)
class PhasePlan:
    """A phase in steps, for a given number of clips.

    first_step: index of the phase's first step, counted over all phases. batch_size: the phase's, at most the number
    of clips. left_out_per_epoch: clips that are in no batch of an epoch, because they do not fill one; each epoch
    leaves out different clips.
    """

    number: int
    phase: Phase
    first_step: int
    steps: int
    warmup_steps: int
    batch_size: int
    batches_per_epoch: int
    left_out_per_epoch: int

    @property
    def end_step(self) -> int:
        return self.first_step + self.steps


@dataclass(frozen=True)
class Batch:
    """The clips of one step. clips: positions, [batch] int64, of all ranks together."""

    step: int
    plan: PhasePlan
    clips: np.ndarray


class Plan:
    """All steps of a recipe.

    video_numbers: [clips] int64, equal for clips of one video. Raises ValueError for fewer than two clips, because a
    contrastive loss needs a negative.
    """

    def __init__(self, recipe: Recipe, video_numbers: np.ndarray) -> None:
        if len(video_numbers) < 2:
            raise ValueError(f"{len(video_numbers)} clips are too few to train on: a contrastive loss needs two")
        self.seed = recipe.seed
        self.keeps_videos_apart = recipe.same_video == "apart"
        self.video_numbers = video_numbers
        self.phases = phase_plans(recipe.phases, clips=len(video_numbers))
        self.steps = self.phases[-1].end_step

    def batches(self, first_step: int = 0) -> Iterator[Batch]:
        """Yields the batches from `first_step` (0-based) to the end."""
        for plan in self.phases:
            start = max(0, first_step - plan.first_step)
            for epoch, batch_range in self._epochs(plan, start):
                order = self.epoch(plan, epoch)
                for index in batch_range:
                    yield Batch(plan.first_step + epoch * plan.batches_per_epoch + index, plan, order[index])

    def epoch(self, plan: PhasePlan, epoch: int) -> np.ndarray:
        """Returns all batches of the epoch, [batches, batch] int64, even if the phase ends before them."""
        rng = np.random.default_rng([self.seed, plan.number, epoch])
        if self.keeps_videos_apart:
            return batches_apart(self.video_numbers, plan.batches_per_epoch, plan.batch_size, rng)
        order = rng.permutation(len(self.video_numbers))
        return order[: plan.batches_per_epoch * plan.batch_size].reshape(plan.batches_per_epoch, plan.batch_size)

    def times_seen(self, plan: PhasePlan) -> np.ndarray:
        """Returns for each clip the number of the phase's batches that hold it, [clips] int64."""
        counts = np.zeros(len(self.video_numbers), np.int64)
        for epoch, batch_range in self._epochs(plan, 0):
            counts[self.epoch(plan, epoch)[batch_range.start : batch_range.stop]] += (
                1  # a clip occurs at most once per epoch
            )
        return counts

    def _epochs(self, plan: PhasePlan, start: int) -> Iterator[tuple[int, range]]:
        """Yields (epoch, range of its batches that are trained on), from step `start` of the phase."""
        while start < plan.steps:
            epoch, index = divmod(start, plan.batches_per_epoch)
            end = min(plan.batches_per_epoch, plan.steps - epoch * plan.batches_per_epoch)
            yield epoch, range(index, end)
            start += end - index


def phase_plans(phases: Sequence[Phase], *, clips: int) -> list[PhasePlan]:
    """Converts the phases' epochs to steps. clips: number of clips.

    A fraction of an epoch is rounded up to whole steps. If `min_steps` lengthens a phase, warm-up keeps its share.
    """
    plans: list[PhasePlan] = []
    for number, phase in enumerate(phases):
        batch_size = min(phase.batch_size, clips)
        batches = clips // batch_size
        steps = max(1, phase.min_steps, math.ceil(phase.epochs * batches - 1e-9))  # 0.1 x 30 is 3, not 4
        steps = min(steps, phase.max_steps or steps)
        warmup_share = min(1.0, phase.warmup_epochs / phase.epochs) if phase.epochs else 0.0
        plans.append(
            PhasePlan(
                number=number,
                phase=phase,
                first_step=plans[-1].end_step if plans else 0,
                steps=steps,
                warmup_steps=round(warmup_share * steps),
                batch_size=batch_size,
                batches_per_epoch=batches,
                left_out_per_epoch=clips - batches * batch_size,
            )
        )
    return plans


def batches_apart(video_numbers: np.ndarray, batches: int, batch_size: int, rng: np.random.Generator) -> np.ndarray:
    """Returns positions, [batches, batch_size] int64, with the clips of one video in different batches.

    Clips are sorted by video, with the videos in random order, and distributed round-robin over the batches: no batch
    gets a second clip of a video before every batch has one. A video with more clips than there are batches cannot be
    kept apart. Its excess clips are the first to be left out; those that remain occur up to ceil(clips / batches)
    times in a batch, which `crowding` counts.
    """
    shuffled = rng.permutation(len(video_numbers))
    _, videos, sizes = np.unique(video_numbers[shuffled], return_inverse=True, return_counts=True)
    # For each clip, the number of earlier clips of its video in the shuffled order.
    video_order = np.argsort(videos, kind="stable")
    earlier_clips = np.empty(len(videos), np.int64)
    earlier_clips[video_order] = np.arange(len(videos)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # First the clips that fit, in shuffled order; then the excess clips of their videos.
    chosen = np.argsort(earlier_clips >= batches, kind="stable")[: batches * batch_size]
    video_ranks = rng.permutation(len(sizes))  # random rank of each video
    ordered = chosen[np.argsort(video_ranks[videos[chosen]], kind="stable")]
    table = shuffled[ordered].reshape(batch_size, batches).T
    return table[rng.permutation(batches)]  # otherwise a video's clips would come in consecutive steps


def crowding(batches: np.ndarray, video_numbers: np.ndarray) -> int:
    """Counts the clips whose batch holds an earlier clip of the same video. batches: positions, [batches, batch]."""
    videos = np.sort(video_numbers[batches], axis=1)
    return int((videos[:, 1:] == videos[:, :-1]).sum())
