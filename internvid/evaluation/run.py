"""A model on a benchmark: reads the videos, makes vectors, and says what they are worth as metrics.

The functions that end in `_metrics` take vectors, wherever they come from; `evaluate` makes them first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from internvid.evaluation import classification, retrieval
from internvid.evaluation.benchmarks import Benchmark, Item
from internvid.evaluation.classification import class_vectors, zero_shot_accuracy
from internvid.evaluation.linear_probe import Probe, linear_probe
from internvid.viclip.tokenizer import prepare_text

DUAL_SOFTMAX_TEMPERATURE = 1.0  # the published evaluation's
VIDEOS_AT_ONCE = 16
BYTES_AT_ONCE = 256 << 20  # of frames: videos of 1080p are fewer at once
TEXTS_AT_ONCE = 1024


class Encodes(Protocol):
    """What is evaluated: `internvid.viclip.encoder.Encoder` for one. Vectors are float32 and L2-normalised.

    frames: in how many it sees each video; the paper evaluates with 8.
    """

    @property
    def frames(self) -> int: ...

    def encode_videos(self, videos: Sequence[np.ndarray]) -> np.ndarray:
        """videos: each [frames, height, width, 3] uint8 RGB -> [n, d]."""

    def encode_texts(self, texts: Sequence[str], *, prepare: bool = True) -> np.ndarray:
        """prepare: whether texts are yet to go through `prepare_text`. -> [m, d]."""


# (items, frames of each, choice) -> each item with its frames [frames, height, width, 3] uint8, or with the error that
# it ended in; in order.
ReadFrames = Callable[[Iterable[Item], int, str], Iterator[tuple[Item, np.ndarray | BaseException]]]


@dataclass(frozen=True)
class Metric:
    """A figure. unit: "%" or "rank". count: queries or videos that it is over. chance: what a guess by lot gives."""

    benchmark: str
    name: str
    value: float
    count: int
    chance: float | None
    unit: str = "%"


@dataclass(frozen=True)
class Failed:
    """A video that could not be read, and why."""

    video: str
    error: str


@dataclass(frozen=True)
class Evaluation:
    """metrics: over `evaluated` of the `named` videos. missing: not in the folder. failed: there, and unreadable."""

    benchmark: str
    title: str
    task: str
    split: str
    frames: int
    choice: str
    metrics: tuple[Metric, ...]
    named: int
    evaluated: int
    missing: tuple[str, ...]
    failed: tuple[Failed, ...]
    notes: tuple[str, ...]


class NothingToEvaluate(ValueError):
    """Not one video of the benchmark could be read. The message says why."""


def evaluate(
    encoder: Encodes,
    benchmark: Benchmark,
    read_frames: ReadFrames,
    *,
    choice: str = "middle",
    probe_on: Benchmark | None = None,
    on_videos: Callable[[int], object] = lambda number: None,
) -> Evaluation:
    """The benchmark's metrics, over the videos that are there and can be read.

    choice: "middle" or "uniform" (`frame_choice`). probe_on: the train split of a classification benchmark, for a
    linear probe. on_videos: called with how many more videos were read. Raises NothingToEvaluate.
    """
    items, vectors, failed = _encoded(encoder, benchmark, read_frames, choice, on_videos)
    notes = list(benchmark.notes)
    absent = benchmark.named - len(items)
    if absent:
        notes.append(
            f"{absent:,} of {benchmark.named:,} videos are left out: with fewer to choose from, retrieval gets easier"
            if benchmark.task == "retrieval"
            else f"{absent:,} of {benchmark.named:,} videos are left out"
        )
    if benchmark.task == "retrieval":
        texts = [text for item in items for text in prepared_texts(item)]
        video_of_text = np.repeat(np.arange(len(items)), [len(item.texts) for item in items])
        metrics = retrieval_metrics(benchmark.name, vectors, encode_texts(encoder, texts), video_of_text)
    else:
        labels = np.array([item.label for item in items], np.int64)
        classes = class_vectors(benchmark.classes, lambda texts: encode_texts(encoder, texts))
        metrics = classification_metrics(benchmark.name, vectors, classes, labels)
        if probe_on is not None:
            trained_on, train_vectors, train_failed = _encoded(encoder, probe_on, read_frames, choice, on_videos)
            probe = linear_probe(
                train_vectors,
                _labels_in(benchmark, probe_on, trained_on),
                vectors,
                labels,
                classes=len(benchmark.classes),
            )
            metrics += probe_metrics(benchmark.name, probe)
            failed += train_failed
            notes.append(
                f"linear probe: fitted on {len(trained_on):,} of {probe_on.named:,} train videos, "
                f"C = {probe.strength:g}"
            )
    return Evaluation(
        benchmark.name,
        benchmark.title,
        benchmark.task,
        benchmark.split,
        encoder.frames,
        choice,
        tuple(metrics),
        benchmark.named,
        len(items),
        benchmark.missing,
        tuple(failed),
        tuple(notes),
    )


def prepared_texts(item: Item) -> list[str]:
    """An item's texts as the model is given them."""
    return [prepare_text(text) for text in item.texts]


def retrieval_metrics(benchmark: str, video: np.ndarray, text: np.ndarray, video_of_text: np.ndarray) -> list[Metric]:
    """Both ways, plain and with dual softmax. Arguments as of `retrieval.retrieval_ranks`."""
    texts_of_video = np.bincount(video_of_text, minlength=len(video))
    by_lot = {
        "text_to_video": retrieval.chance(len(video), np.ones(len(text), np.int64)),
        "video_to_text": retrieval.chance(len(text), texts_of_video[texts_of_video > 0]),
    }
    metrics = []
    for prefix, temperature in (("", None), ("dual_softmax_", DUAL_SOFTMAX_TEMPERATURE)):
        ranks = retrieval.retrieval_ranks(video, text, video_of_text, dual_softmax_temperature=temperature)
        for way, lot in by_lot.items():
            found = retrieval.summarise(getattr(ranks, way))
            name = f"{prefix}{way}"
            metrics += [
                Metric(benchmark, f"{name}_recall_at_{k}", 100 * share, found.count, 100 * lot.recall[k])
                for k, share in found.recall.items()
            ]
            metrics.append(Metric(benchmark, f"{name}_median_rank", found.median, found.count, lot.median, "rank"))
            metrics.append(Metric(benchmark, f"{name}_mean_rank", found.mean, found.count, lot.mean, "rank"))
    return metrics


def classification_metrics(benchmark: str, video: np.ndarray, classes: np.ndarray, labels: np.ndarray) -> list[Metric]:
    """Top-1, top-5 and their mean. Arguments as of `classification.zero_shot_accuracy`."""
    return _accuracy_metrics(benchmark, "", zero_shot_accuracy(video, classes, labels))


def probe_metrics(benchmark: str, probe: Probe) -> list[Metric]:
    return _accuracy_metrics(benchmark, "linear_probe_", probe.accuracy)


def encode_texts(encoder: Encodes, texts: Sequence[str]) -> np.ndarray:
    """[texts, d] float32. texts: prepared already."""
    parts = [
        encoder.encode_texts(list(texts[start : start + TEXTS_AT_ONCE]), prepare=False)
        for start in range(0, len(texts), TEXTS_AT_ONCE)
    ]
    return np.concatenate(parts)


def _accuracy_metrics(benchmark: str, prefix: str, found: classification.Accuracy) -> list[Metric]:
    lot = classification.chance(found.classes)
    return [
        Metric(benchmark, f"{prefix}top_1", 100 * found.top_1, found.count, 100 * lot.top_1),
        Metric(benchmark, f"{prefix}top_5", 100 * found.top_5, found.count, 100 * lot.top_5),
        Metric(benchmark, f"{prefix}top_mean", 100 * found.mean, found.count, 100 * lot.mean),
    ]


def _encoded(
    encoder: Encodes,
    benchmark: Benchmark,
    read_frames: ReadFrames,
    choice: str,
    on_videos: Callable[[int], object],
) -> tuple[list[Item], np.ndarray, list[Failed]]:
    """The items that could be read, their vectors [items, d], and those that could not."""
    items: list[Item] = []
    vectors: list[np.ndarray] = []
    failed: list[Failed] = []
    waiting: list[np.ndarray] = []
    for item, read in read_frames(benchmark.items, encoder.frames, choice):
        on_videos(1)
        if isinstance(read, BaseException):
            failed.append(Failed(item.video, f"{type(read).__name__}: {read}"))
            continue
        items.append(item)
        waiting.append(read)
        if len(waiting) == VIDEOS_AT_ONCE or sum(video.nbytes for video in waiting) > BYTES_AT_ONCE:
            vectors.append(encoder.encode_videos(waiting))
            waiting = []
    if waiting:
        vectors.append(encoder.encode_videos(waiting))
    if not items:
        first = f"; the first error: {failed[0].video}: {failed[0].error}" if failed else ""
        example = f", such as {benchmark.missing[0]}" if benchmark.missing else ""
        raise NothingToEvaluate(
            f"not one of the {benchmark.named:,} videos that {benchmark.annotations.name} names can be read: "
            f"{len(benchmark.missing):,} are not there{example}, {len(failed):,} are unreadable{first}"
        )
    return items, np.concatenate(vectors), failed


def _labels_in(benchmark: Benchmark, other: Benchmark, items: Sequence[Item]) -> np.ndarray:
    """Labels of the other split's items, as positions among this benchmark's classes. Raises ValueError."""
    positions = {name: position for position, name in enumerate(benchmark.classes)}
    unknown = sorted(set(other.classes) - set(positions))
    if unknown:
        raise ValueError(f"{other.annotations} has classes that {benchmark.annotations} lacks: {', '.join(unknown)}")
    return np.array([positions[other.classes[item.label]] for item in items if item.label is not None], np.int64)
