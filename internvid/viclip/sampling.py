"""Which clips form which batch, of all steps of a recipe: a function of the recipe and the data alone.

An epoch is a seeded permutation of the clips, cut into batches. Nothing here knows of ranks: they divide the rows of
a batch among them, so that the same batches are trained on whatever their number. Everything is arrays, for ten
million clips are ordinary: a permutation of them takes half a second, keeping videos apart eight.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from internvid.viclip.recipe import Phase, Recipe


@dataclass(frozen=True)
class PhasePlan:
    """A phase on so many clips, in steps.

    first_step: of the phase, among those of all phases. batch_size: the phase's, or all clips where those are fewer.
    left_out_per_epoch: clips that no batch of an epoch holds, because they do not fill one; others in each epoch.
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
    """The clips of one step, by position. clips: [batch] int64, of all ranks together."""

    step: int
    plan: PhasePlan
    clips: np.ndarray


class Plan:
    """All steps of a recipe on clips with these video numbers ([clips] int64, equal for clips of one video).

    Raises ValueError for fewer than two clips: nothing can be told from anything.
    """

    def __init__(self, recipe: Recipe, video_numbers: np.ndarray) -> None:
        if len(video_numbers) < 2:
            raise ValueError(f"{len(video_numbers)} clips are too few to train on: contrasts need two")
        self.seed = recipe.seed
        self.apart = recipe.same_video == "apart"
        self.video_numbers = video_numbers
        self.phases = phase_plans(recipe.phases, clips=len(video_numbers))
        self.steps = self.phases[-1].end_step

    def batches(self, first_step: int = 0) -> Iterator[Batch]:
        """From `first_step` (0-based) to the end."""
        for plan in self.phases:
            start = max(0, first_step - plan.first_step)
            for epoch, inside in self._epochs(plan, start):
                order = self.epoch(plan, epoch)
                for index in inside:
                    yield Batch(plan.first_step + epoch * plan.batches_per_epoch + index, plan, order[index])

    def epoch(self, plan: PhasePlan, epoch: int) -> np.ndarray:
        """[batches, batch] int64: every batch of the epoch, were it trained to its end."""
        rng = np.random.default_rng([self.seed, plan.number, epoch])
        if self.apart:
            return batches_apart(self.video_numbers, plan.batches_per_epoch, plan.batch_size, rng)
        order = rng.permutation(len(self.video_numbers))
        return order[: plan.batches_per_epoch * plan.batch_size].reshape(plan.batches_per_epoch, plan.batch_size)

    def times_seen(self, plan: PhasePlan) -> np.ndarray:
        """[clips] int64: in how many batches of the phase each clip is."""
        counts = np.zeros(len(self.video_numbers), np.int64)
        for epoch, inside in self._epochs(plan, 0):
            counts[self.epoch(plan, epoch)[inside.start : inside.stop]] += 1  # a clip is once in an epoch
        return counts

    def _epochs(self, plan: PhasePlan, start: int) -> Iterator[tuple[int, range]]:
        """Epochs of the phase with the batches of each that are trained, from step `start` of the phase."""
        while start < plan.steps:
            epoch, index = divmod(start, plan.batches_per_epoch)
            end = min(plan.batches_per_epoch, plan.steps - epoch * plan.batches_per_epoch)
            yield epoch, range(index, end)
            start += end - index


def phase_plans(phases: Sequence[Phase], *, clips: int) -> list[PhasePlan]:
    """A fraction of an epoch is rounded up to whole steps. Warm-up keeps its share of a phase that
    `steps_at_least` makes longer."""
    plans: list[PhasePlan] = []
    for number, phase in enumerate(phases):
        batch_size = min(phase.batch_size, clips)
        batches = clips // batch_size
        steps = max(1, phase.steps_at_least, math.ceil(phase.epochs * batches - 1e-9))  # 0.1 x 30 is 3, not 4
        steps = min(steps, phase.steps_at_most or steps)
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
    """[batches, batch_size] int64 positions: clips of one video in as many different batches as there are.

    Clips are sorted by video, the videos in random order, and dealt out like cards: those of a video go to batches
    next to each other, so that none gets a second one before every batch has one. A video with more clips than
    there are batches cannot be kept apart; it is among the clips that fill no batch first, and what is left of it
    stands ceil(clips / batches) times in a batch. `crowding` counts that.
    """
    shuffled = rng.permutation(len(video_numbers))
    _, videos, sizes = np.unique(video_numbers[shuffled], return_inverse=True, return_counts=True)
    # How many clips of the same video come before each, in the shuffled order.
    by_video = np.argsort(videos, kind="stable")
    before = np.empty(len(videos), np.int64)
    before[by_video] = np.arange(len(videos)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # Those that may stay, kept in shuffled order; then those too many of their video.
    kept = np.argsort(before >= batches, kind="stable")[: batches * batch_size]
    places = rng.permutation(len(sizes))  # of each video among the videos
    dealt = kept[np.argsort(places[videos[kept]], kind="stable")]
    table = shuffled[dealt].reshape(batch_size, batches).T
    return table[rng.permutation(batches)]  # or a video's clips would come in steps next to each other


def crowding(batches: np.ndarray, video_numbers: np.ndarray) -> int:
    """Clips of an epoch ([batches, batch] positions) whose batch holds another clip of their video before them."""
    videos = np.sort(video_numbers[batches], axis=1)
    return int((videos[:, 1:] == videos[:, :-1]).sum())


def rows_of_rank(batch_size: int, rank: int, ranks: int) -> tuple[int, int]:
    """First row and end of those rows of a batch that the rank computes; as even as it goes, none left out."""
    return batch_size * rank // ranks, batch_size * (rank + 1) // ranks
