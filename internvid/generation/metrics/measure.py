"""Measures generated videos: what each metric needs to see of them and of real ones, in one pass over each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from internvid.generation.metrics.frechet import RunningGaussian, frechet_distance
from internvid.generation.metrics.inception_score import RunningInceptionScore
from internvid.generation.metrics.videos import MeasuredVideo, Reading, ReadVideo

# Below this many samples the covariance of Inception's 2,048 features is singular, and a distance is far too large.
MIN_SAMPLES = 2_048
VIDEOS_PER_BATCH = 8

# (videos, how) -> each video in order with its frames or its error.
ReadVideos = Callable[[Iterable[MeasuredVideo], Reading], Iterator[tuple[MeasuredVideo, ReadVideo | BaseException]]]
# (videos, prompts) -> [n]: the cosine of each pair.
Similarities = Callable[[Sequence[np.ndarray], Sequence[str]], np.ndarray]
Of = Literal["videos", "frames"]


@dataclass(frozen=True)
class Figure:
    """A metric with what it depends on. unit: distance (lower is better), score or cosine (higher is better).

    of: what a sample is. samples, real_samples: their numbers; None where no real ones are needed.
    preparation: how frames became the network's input.
    """

    metric: str
    value: float
    unit: Literal["distance", "score", "cosine"]
    of: Of
    samples: int
    real_samples: int | None
    preparation: str

    @property
    def warning(self) -> str | None:
        """What speaks against comparing the value with others; None where nothing does."""
        fewest = min(self.samples, self.samples if self.real_samples is None else self.real_samples)
        if self.unit == "cosine" or fewest >= MIN_SAMPLES:
            return None
        return (
            f"{self.metric}: {fewest:,} {self.of} are fewer than {MIN_SAMPLES:,}: the value depends on their number, "
            "and is not to be set beside published ones"
        )


class Meter(ABC):
    """A metric that is fed with videos in parts. needs_real, needs_prompts: what it cannot do without."""

    needs_real = False
    needs_prompts = False

    @abstractmethod
    def add(self, videos: Sequence[np.ndarray], prompts: Sequence[str | None]) -> None:
        """Takes generated videos: each [frames, height, width, 3] uint8 RGB, with its prompt."""

    def add_real(self, videos: Sequence[np.ndarray]) -> None:
        """Takes real videos."""
        raise NotImplementedError

    @abstractmethod
    def figure(self) -> Figure:
        """Returns the metric of what was added. Raises ValueError where that is too little."""


class FrechetMeter(Meter):
    """The Fréchet distance of the features of videos, or of their frames."""

    needs_real = True

    def __init__(
        self, metric: str, features: Callable[[Sequence[np.ndarray]], np.ndarray], *, of: Of, preparation: str
    ) -> None:
        self.metric, self.features, self.of, self.preparation = metric, features, of, preparation
        self.generated, self.real = RunningGaussian(), RunningGaussian()

    def add(self, videos: Sequence[np.ndarray], prompts: Sequence[str | None]) -> None:
        self.generated.add(self.features(videos))

    def add_real(self, videos: Sequence[np.ndarray]) -> None:
        self.real.add(self.features(videos))

    def figure(self) -> Figure:
        value = frechet_distance(self.generated, self.real)
        return Figure(self.metric, value, "distance", self.of, self.generated.count, self.real.count, self.preparation)


class InceptionScoreMeter(Meter):
    """The Inception Score of frames."""

    def __init__(self, probabilities: Callable[[Sequence[np.ndarray]], np.ndarray], *, preparation: str) -> None:
        self.probabilities, self.preparation = probabilities, preparation
        self.running = RunningInceptionScore()

    def add(self, videos: Sequence[np.ndarray], prompts: Sequence[str | None]) -> None:
        self.running.add(self.probabilities(videos))

    def figure(self) -> Figure:
        score, splits = self.running.score, self.running.splits
        how = f"{self.preparation}; mean over {splits} part{'s' * (splits > 1)}"
        return Figure("is", score, "score", "frames", self.running.count, None, how)


class SimilarityMeter(Meter):
    """The mean cosine of videos and their prompts. Videos without a prompt are left out."""

    needs_prompts = True

    def __init__(self, metric: str, similarities: Similarities, *, preparation: str) -> None:
        self.metric, self.similarities, self.preparation = metric, similarities, preparation
        self.total, self.count = 0.0, 0

    def add(self, videos: Sequence[np.ndarray], prompts: Sequence[str | None]) -> None:
        pairs = [(video, prompt) for video, prompt in zip(videos, prompts, strict=True) if prompt]
        if pairs:
            self.total += float(self.similarities(*map(list, zip(*pairs, strict=True))).sum())
            self.count += len(pairs)

    def figure(self) -> Figure:
        if not self.count:
            raise ValueError(f"{self.metric} needs the prompts of the generated videos: see prompts.jsonl")
        return Figure(self.metric, self.total / self.count, "cosine", "videos", self.count, None, self.preparation)


@dataclass(frozen=True)
class Measured:
    """Result of `measure`. failed: videos that could not be read, with their errors. notes: of what was read."""

    figures: tuple[Figure, ...]
    generated: int
    real: int
    failed: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def measure(
    meters: Sequence[Meter],
    generated: Iterable[MeasuredVideo],
    real: Iterable[MeasuredVideo],
    read: ReadVideos,
    *,
    frames: int = 16,
    choice: str = "consecutive",
    on_videos: Callable[[int], object] = lambda number: None,
) -> Measured:
    """Feeds the meters with generated videos, then with real ones in the size of the first generated one.

    real: not read where no meter needs any. choice: of the frames of real videos, a name of `videos.CHOICES`; generated
    ones are taken from their middle, in a row. on_videos: called with the number of videos read since the last call.
    Raises ValueError where a metric has too few videos.
    """
    failed: list[tuple[str, str]] = []
    size: tuple[int, int] | None = None
    counts, short = [0, 0], [0, 0]

    def batches(
        videos: Iterable[MeasuredVideo], reading: Reading, kind: int
    ) -> Iterator[list[tuple[ReadVideo, str | None]]]:
        batch: list[tuple[ReadVideo, str | None]] = []
        for video, outcome in read(videos, reading):
            on_videos(1)
            if isinstance(outcome, BaseException):
                failed.append((video.name, f"{type(outcome).__name__}: {outcome}"))
                continue
            counts[kind] += 1
            short[kind] += outcome.frame_count < frames
            batch.append((outcome, video.prompt))
            if len(batch) == VIDEOS_PER_BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    reading = Reading(frames)
    for batch in batches(generated, reading, 0):
        size = size or batch[0][0].frames.shape[1:3]  # type: ignore[assignment]  # height and width
        for meter in meters:
            meter.add([video.frames for video, _ in batch], [prompt for _, prompt in batch])
    if not counts[0]:
        raise ValueError("there is no generated video that can be read" + (f": {failed[0][1]}" if failed else ""))
    of_real = [meter for meter in meters if meter.needs_real]
    real_reading = Reading(frames, choice, size)
    if of_real:
        for batch in batches(real, real_reading, 1):
            for meter in of_real:
                meter.add_real([video.frames for video, _ in batch])
    notes = [f"generated: {reading}"]
    if of_real:
        notes.append(f"real: {real_reading}, as the first generated video is; the middle is cropped to its shape")
    for number, which in zip(short, ("generated", "real"), strict=True):
        if number:
            notes.append(f"{number:,} {which} videos have fewer than {frames} frames; their last one is repeated")
    return Measured(tuple(meter.figure() for meter in meters), counts[0], counts[1], tuple(failed), tuple(notes))
