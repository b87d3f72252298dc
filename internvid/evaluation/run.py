"""Evaluates a model on a benchmark: reads the videos, encodes them, and computes metrics.

The functions that end in `_metrics` take vectors; `evaluate` also computes the vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch

from internvid.batches import in_batches
from internvid.evaluation import classification, retrieval
from internvid.evaluation.attentive_probe import attentive_probe
from internvid.evaluation.benchmarks import Benchmark, Item
from internvid.evaluation.classification import (
    Accuracy,
    average_precision,
    chance_precision,
    class_vectors,
    zero_shot_accuracy,
)
from internvid.evaluation.fine_tuned import (
    CANDIDATES,
    MatchTokens,
    TunedEncoder,
    head_accuracy,
    heads_of,
    reranked,
)
from internvid.evaluation.linear_probe import linear_probe
from internvid.evaluation.neighbours import NEIGHBOURS, neighbour_accuracy
from internvid.evaluation.stored_vectors import VectorFiles, VideoVectors
from internvid.viclip.encoder import Encoder
from internvid.viclip.tokenizer import prepare_text

DUAL_SOFTMAX_TEMPERATURE = 1.0  # the published evaluation's
VIDEOS_PER_BATCH = 16
BYTES_PER_READ = 256 << 20  # of frames: upper bound per batch, for large videos
TEXTS_PER_BATCH = 1024
ATTENTIVE = "attentive"  # the probe that reads tokens of videos, and not their vectors


class VideoTextEncoder(Protocol):
    """A model that can be evaluated, such as `internvid.viclip.encoder.Encoder`.

    Vectors are float32 and L2-normalised. frames: number of frames per video; the paper evaluates with 8.
    prepares_texts: whether texts are to be prepared by `prepare_text` for this model.
    """

    @property
    def frames(self) -> int: ...

    @property
    def prepares_texts(self) -> bool: ...

    def encode_videos(self, videos: Sequence[np.ndarray]) -> np.ndarray:
        """videos: each [frames, height, width, 3] uint8 RGB -> [n, d]."""

    def encode_texts(self, texts: Sequence[str], *, prepare: bool = True) -> np.ndarray:
        """prepare: apply `prepare_text` first. -> [m, d]."""


# (items, frames per item, choice) -> each item in order, with its frames [frames, height, width, 3] uint8 or its error.
ReadFrames = Callable[[Iterable[Item], int, str], Iterator[tuple[Item, np.ndarray | BaseException]]]


@dataclass(frozen=True)
class Metric:
    """A metric. unit: "%" or "rank". count: number of queries or videos. chance: expected value of random guesses."""

    benchmark: str
    name: str
    value: float
    count: int
    chance: float | None
    unit: str = "%"


@dataclass(frozen=True)
class Failed:
    """A video that could not be read, with its error."""

    video: str
    error: str


@dataclass(frozen=True)
class Evaluation:
    """Metrics of a model on a benchmark.

    named: number of annotated videos. evaluated: number of videos behind the metrics. missing: videos that are not in
    the folder. failed: unreadable videos.
    """

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


@dataclass(frozen=True)
class ProbeTraining:
    """How probes are trained. seed: of what they draw at random. epochs: of the attentive probe; None: its own."""

    seed: int = 0
    epochs: int | None = None


@dataclass(frozen=True)
class _Encoded:
    """The items that could be read, in order. vectors: [items, d]. tokens: [items, k, w]; empty where none are read."""

    items: list[Item]
    vectors: np.ndarray
    tokens: np.ndarray
    failed: list[Failed]


class NothingToEvaluate(ValueError):
    """No video of the benchmark could be read. The message gives the reasons."""


def evaluate(
    encoder: VideoTextEncoder,
    benchmark: Benchmark,
    read_frames: ReadFrames,
    *,
    choice: str = "middle",
    probe_train: Benchmark | None = None,
    probes: Sequence[str] = (),
    probe_training: ProbeTraining | None = None,
    vector_files: VectorFiles | None = None,
    counts_missing: bool = False,
    on_videos: Callable[[int], object] = lambda number: None,
) -> Evaluation:
    """Computes the benchmark's metrics over the videos that can be read.

    choice: "middle" or "uniform" (`frame_choice`). probe_train: the train split of a classification benchmark, for
    `probes`, names of PROBES. probe_training: how these are trained. vector_files: where the vectors of videos are
    kept; what is there is not decoded again; None: in memory, the many tokens of the attentive probe too.
    counts_missing: queries of videos that cannot be read count as wrong, instead of being left out. on_videos:
    called with the number of videos read since the last call. Raises NothingToEvaluate, and ValueError for a probe
    that this model does not allow.
    """
    probes_tokens = probe_train is not None and ATTENTIVE in probes
    if probes_tokens and not isinstance(encoder, Encoder):
        raise ValueError("the attentive probe reads the tokens of a ViCLIP: this is a model of others")

    def encoded(part: Benchmark) -> _Encoded:
        return _stored_or_encoded(encoder, part, read_frames, choice, vector_files, on_videos, probes_tokens)

    of_test = encoded(benchmark)
    items, vectors, failed = of_test.items, of_test.vectors, list(of_test.failed)
    notes = list(benchmark.notes)
    absent = benchmark.named - len(items)
    if absent and counts_missing:
        notes.append(f"{absent:,} of {benchmark.named:,} videos cannot be read and count as wrong")
    elif absent:
        notes.append(
            f"{absent:,} of {benchmark.named:,} videos are left out: with fewer to choose from, retrieval gets easier"
            if benchmark.task == "retrieval"
            else f"{absent:,} of {benchmark.named:,} videos are left out"
        )
    absent = absent if counts_missing else 0
    if benchmark.task == "retrieval":
        prepare = preparation(encoder)
        texts = [prepare(text) for item in items for text in item.texts]
        video_of_text = np.repeat(np.arange(len(items)), [len(item.texts) for item in items])
        absent_texts = benchmark.named_texts - len(texts) if counts_missing else 0
        metrics = retrieval_metrics(
            benchmark.name,
            vectors,
            encode_texts(encoder, texts),
            video_of_text,
            absent_videos=absent,
            absent_texts=absent_texts,
        )
        heads = heads_of(encoder)
        if heads is not None and heads.match_head is not None:
            assert isinstance(encoder, TunedEncoder)
            metrics += _matched_metrics(
                encoder, benchmark, items, vectors, texts, video_of_text, read_frames, choice, absent, absent_texts
            )
            notes.append(f"matched: the {CANDIDATES} nearest by vectors, put in order by the match head")
        repeated = retrieval.repeated_texts(texts, video_of_text)
        if repeated.texts:
            notes.append(
                f"{repeated.texts:,} of {len(texts):,} captions are those of another video too, word for word: R@1 can "
                f"be {100 * repeated.text_to_video:.2f} at most (text to video) and {100 * repeated.video_to_text:.2f} "
                "(video to text)"
            )
    elif benchmark.task == "choice":
        prepare = preparation(encoder)
        texts = [prepare(text) for item in items for text in item.texts]
        counts = [len(item.texts) for item in items]
        answers = np.array([item.label for item in items], np.int64)
        metrics = choice_metrics(benchmark.name, vectors, encode_texts(encoder, texts), counts, answers, absent=absent)
    elif benchmark.task == "labels":
        classes = class_vectors(
            benchmark.classes, lambda texts: encode_texts(encoder, texts), prepare=preparation(encoder)
        )
        metrics = labels_metrics(benchmark.name, vectors, classes, [item.labels for item in items])
        if absent:
            raise ValueError(f"{benchmark.title} is measured by average precision: missing videos can be left out only")
    else:
        labels = np.array([item.label for item in items], np.int64)
        classes = class_vectors(
            benchmark.classes, lambda texts: encode_texts(encoder, texts), prepare=preparation(encoder)
        )
        metrics = classification_metrics(benchmark.name, vectors, classes, labels, absent=absent)
        metrics += _head_metrics(encoder, benchmark, vectors, labels, absent)
        if probe_train is not None and probes:
            of_train = encoded(probe_train)
            train_labels = _benchmark_labels(benchmark, probe_train, of_train.items)
            failed += of_train.failed
            notes.append(f"probes: trained on {len(of_train.items):,} of {probe_train.named:,} train videos")
            for probe in probes:
                train, test = (of_train.tokens, of_test.tokens) if probe == ATTENTIVE else (of_train.vectors, vectors)
                parts = _ProbeParts(train, train_labels, test, labels)
                of_probe, remark = PROBES[probe](parts, len(benchmark.classes), probe_training or ProbeTraining())
                metrics += _accuracy_metrics(benchmark.name, f"{probe}_probe_", of_probe)
                notes.append(remark)
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


def preparation(encoder: VideoTextEncoder) -> Callable[[str], str]:
    """Returns what is done to a text before the model's vocabulary sees it."""
    return prepare_text if encoder.prepares_texts else str


def retrieval_metrics(
    benchmark: str,
    video: np.ndarray,
    text: np.ndarray,
    video_of_text: np.ndarray,
    *,
    absent_videos: int = 0,
    absent_texts: int = 0,
) -> list[Metric]:
    """Computes metrics in both directions, plain and with dual softmax. Parameters: `retrieval.retrieval_ranks`.

    absent_videos, absent_texts: queries that cannot be asked and count as wrong, with a rank after all answers.
    """
    not_asked = {
        "text_to_video": np.full(absent_texts, len(video) + 1),
        "video_to_text": np.full(absent_videos, len(text) + 1),
    }
    metrics = []
    for prefix, temperature in (("", None), ("dual_softmax_", DUAL_SOFTMAX_TEMPERATURE)):
        ranks = retrieval.retrieval_ranks(video, text, video_of_text, dual_softmax_temperature=temperature)
        metrics += _rank_metrics(benchmark, prefix, ranks, not_asked, _chances(video, text, video_of_text))
    return metrics


def _chances(
    video: Sequence[object] | np.ndarray, text: Sequence[object] | np.ndarray, video_of_text: np.ndarray
) -> dict[str, retrieval.RankSummary]:
    """Returns what random scores give in each direction."""
    texts_of_video = np.bincount(video_of_text, minlength=len(video))
    return {
        "text_to_video": retrieval.chance(len(video), np.ones(len(text), np.int64)),
        "video_to_text": retrieval.chance(len(text), texts_of_video[texts_of_video > 0]),
    }


def _rank_metrics(
    benchmark: str,
    prefix: str,
    ranks: retrieval.Ranks,
    not_asked: Mapping[str, np.ndarray],
    chances: Mapping[str, retrieval.RankSummary],
) -> list[Metric]:
    """not_asked: by direction, the ranks of queries that cannot be asked."""
    metrics = []
    for direction, chance in chances.items():
        summary = retrieval.summarise(np.concatenate([getattr(ranks, direction), not_asked[direction]]))
        name = f"{prefix}{direction}"
        metrics += [
            Metric(benchmark, f"{name}_recall_at_{k}", 100 * share, summary.count, 100 * chance.recall[k])
            for k, share in summary.recall.items()
        ]
        metrics.append(Metric(benchmark, f"{name}_median_rank", summary.median, summary.count, chance.median, "rank"))
        metrics.append(Metric(benchmark, f"{name}_mean_rank", summary.mean, summary.count, chance.mean, "rank"))
    return metrics


def classification_metrics(
    benchmark: str, video: np.ndarray, classes: np.ndarray, labels: np.ndarray, *, absent: int = 0
) -> list[Metric]:
    """Computes top-1, top-5 and their mean. Parameters as in `classification.zero_shot_accuracy`.

    absent: number of videos that cannot be read and count as wrong.
    """
    return _accuracy_metrics(benchmark, "", zero_shot_accuracy(video, classes, labels).over(absent))


def choice_metrics(
    benchmark: str,
    video: np.ndarray,
    text: np.ndarray,
    counts: Sequence[int],
    answers: np.ndarray,
    *,
    absent: int = 0,
) -> list[Metric]:
    """Computes how often a video's right text is nearer to it than all its others; a tie counts as wrong.

    video: [videos, d], text: [texts, d] float32, L2-normalised. counts: number of texts of each video, in its order.
    answers: [videos] int, the position of the right one among them. absent: videos that cannot be read and are wrong.
    """
    ends = np.cumsum(counts)
    right = 0
    for vector, start, end, answer in zip(video, ends - counts, ends, answers, strict=True):
        cosines = (text[start:end].astype(np.float64) @ vector.astype(np.float64)).astype(np.float32)
        right += int((cosines >= cosines[answer]).sum() == 1)
    asked = len(video) + absent
    chance = float(np.mean(1 / np.asarray(counts)))
    return [Metric(benchmark, "top_1", 100 * right / asked, asked, 100 * chance)]


def labels_metrics(
    benchmark: str, video: np.ndarray, classes: np.ndarray, labels: Sequence[Sequence[int]]
) -> list[Metric]:
    """Computes the mean over the classes of the average precision of ranking the videos, as Charades is measured.

    labels: of each video, the positions of its classes. Classes that no video has are left out.
    """
    scores = video.astype(np.float64) @ classes.T
    has = np.zeros(scores.shape, bool)
    for row, of_video in enumerate(labels):
        has[row, list(of_video)] = True
    measured = np.flatnonzero(has.any(0))
    if not len(measured):
        raise ValueError(f"no video of {benchmark} has a class")
    precision = float(np.mean([average_precision(scores[:, column], has[:, column]) for column in measured]))
    chance = float(np.mean([chance_precision(len(video), int(has[:, column].sum())) for column in measured]))
    return [Metric(benchmark, "mean_average_precision", 100 * precision, len(video), 100 * chance)]


def _head_metrics(
    encoder: VideoTextEncoder, benchmark: Benchmark, vectors: np.ndarray, labels: np.ndarray, absent: int
) -> list[Metric]:
    """Returns the accuracy by the class head of a fine-tuned checkpoint; nothing for any other."""
    heads = heads_of(encoder)
    of_read = None if heads is None else head_accuracy(heads, vectors, labels, benchmark.classes)
    return [] if of_read is None else _accuracy_metrics(benchmark.name, "class_head_", of_read.over(absent))


def _matched_metrics(
    encoder: TunedEncoder,
    benchmark: Benchmark,
    items: Sequence[Item],
    vectors: np.ndarray,
    texts: Sequence[str],
    video_of_text: np.ndarray,
    read_frames: ReadFrames,
    choice: str,
    absent_videos: int,
    absent_texts: int,
) -> list[Metric]:
    """Computes retrieval re-ranked by the match head. Videos are read again: their vectors are not what it reads.

    Raises ValueError where a video that could be read cannot be read again.
    """
    parts: list[torch.Tensor] = []
    for batch in in_batches(items, VIDEOS_PER_BATCH):
        videos = [frames for _, frames in read_frames(batch, encoder.frames, choice)]
        if any(isinstance(frames, BaseException) for frames in videos):
            raise ValueError(f"a video of {benchmark.title} was readable, and is no more")
        parts.append(encoder.match_tokens_of_videos([frames for frames in videos if isinstance(frames, np.ndarray)]))
    tokens = MatchTokens(torch.cat(parts), *encoder.match_tokens_of_texts(texts))
    ranks = reranked(encoder, tokens, vectors, encode_texts(encoder, texts), video_of_text)
    not_asked = {
        "text_to_video": np.full(absent_texts, len(vectors) + 1),
        "video_to_text": np.full(absent_videos, len(texts) + 1),
    }
    return _rank_metrics(benchmark.name, "matched_", ranks, not_asked, _chances(vectors, texts, video_of_text))


class _ProbeParts(NamedTuple):
    """What a probe is trained and measured on. train, test: [videos, d], or [videos, k, w]. labels: [videos] int."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


def _linear(parts: _ProbeParts, classes: int, training: ProbeTraining) -> tuple[Accuracy, str]:
    probe = linear_probe(*parts, classes=classes, seed=training.seed)
    return probe.accuracy, f"linear probe: C = {probe.strength:g}"


def _neighbours(parts: _ProbeParts, classes: int, training: ProbeTraining) -> tuple[Accuracy, str]:
    of_probe = neighbour_accuracy(*parts, classes=classes)
    return of_probe, f"k-NN probe: the {min(NEIGHBOURS, len(parts.train))} nearest train videos"


def _attentive(parts: _ProbeParts, classes: int, training: ProbeTraining) -> tuple[Accuracy, str]:
    of_probe = attentive_probe(*parts, classes=classes, seed=training.seed, epochs=training.epochs)
    return of_probe, f"attentive probe: {parts.train.shape[1]} tokens of each video"


Probe = Callable[[_ProbeParts, int, ProbeTraining], tuple[Accuracy, str]]
# Name -> function of the train and test vectors and labels, the number of classes, and how it is trained.
PROBES: dict[str, Probe] = {"linear": _linear, "knn": _neighbours, ATTENTIVE: _attentive}


def encode_texts(encoder: VideoTextEncoder, texts: Sequence[str]) -> np.ndarray:
    """Returns [texts, d] float32. texts: after `preparation`."""
    parts = [
        encoder.encode_texts(list(texts[start : start + TEXTS_PER_BATCH]), prepare=False)
        for start in range(0, len(texts), TEXTS_PER_BATCH)
    ]
    return np.concatenate(parts)


def _accuracy_metrics(benchmark: str, prefix: str, accuracy: Accuracy) -> list[Metric]:
    chance = classification.chance(accuracy.classes)
    return [
        Metric(benchmark, f"{prefix}top_1", 100 * accuracy.top_1, accuracy.count, 100 * chance.top_1),
        Metric(benchmark, f"{prefix}top_5", 100 * accuracy.top_5, accuracy.count, 100 * chance.top_5),
        Metric(benchmark, f"{prefix}top_mean", 100 * accuracy.mean, accuracy.count, 100 * chance.mean),
    ]


def _stored_or_encoded(
    encoder: VideoTextEncoder,
    benchmark: Benchmark,
    read_frames: ReadFrames,
    choice: str,
    vector_files: VectorFiles | None,
    on_videos: Callable[[int], object],
    with_tokens: bool,
) -> _Encoded:
    """Returns what the files have; what they lack is encoded, all in one pass over the videos, and written there.

    Raises ValueError where files of vectors and of tokens are not of the same videos, and NothingToEvaluate.
    """
    encode = {"vectors": encoder.encode_videos}
    if with_tokens:
        assert isinstance(encoder, Encoder)
        encode["tokens"] = encoder.encode_tokens
    if vector_files is None:
        memory = {kind: _InMemory() for kind in encode}
        failed = _encode(encoder, benchmark, read_frames, choice, on_videos, encode, memory)
        by_kind = {kind: kept.read(failed) for kind, kept in memory.items()}
    else:
        files = {"vectors": vector_files, "tokens": vector_files.of_tokens()}
        by_kind = {kind: stored for kind in encode if (stored := files[kind].read(benchmark)) is not None}
        lacking = {kind: function for kind, function in encode.items() if kind not in by_kind}
        if lacking:
            with ExitStack() as stack:
                writers = {kind: stack.enter_context(files[kind].writing(benchmark)) for kind in lacking}
                failed = _encode(encoder, benchmark, read_frames, choice, on_videos, lacking, writers)
                for writer in writers.values():
                    writer.finish(failed)
            by_kind |= {kind: stored for kind in lacking if (stored := files[kind].read(benchmark)) is not None}
        else:
            on_videos(len(benchmark.items))
    of_vectors = by_kind["vectors"]
    if with_tokens and by_kind["tokens"].positions != of_vectors.positions:
        raise ValueError(f"videos of {benchmark.title} were readable, and are no more, or the other way round")
    return _Encoded(
        [benchmark.items[position] for position in of_vectors.positions],
        of_vectors.vectors,
        by_kind["tokens"].vectors if with_tokens else np.zeros((0, 0, 0), np.float16),
        [Failed(video, error) for video, error in of_vectors.failed],
    )


class _Kept(Protocol):
    """What takes the vectors of videos as they are made: a file, or memory."""

    def add(self, positions: Sequence[int], vectors: np.ndarray) -> None: ...


class _InMemory:
    def __init__(self) -> None:
        self._positions: list[int] = []
        self._parts: list[np.ndarray] = []

    def add(self, positions: Sequence[int], vectors: np.ndarray) -> None:
        self._positions += positions
        self._parts.append(vectors)

    def read(self, failed: Sequence[tuple[str, str]]) -> VideoVectors:
        return VideoVectors(tuple(self._positions), np.concatenate(self._parts), tuple(failed))


def _encode(
    encoder: VideoTextEncoder,
    benchmark: Benchmark,
    read_frames: ReadFrames,
    choice: str,
    on_videos: Callable[[int], object],
    encode: Mapping[str, Callable[[Sequence[np.ndarray]], np.ndarray]],
    kept: Mapping[str, _Kept],
) -> list[tuple[str, str]]:
    """Reads every video once, and adds what each function makes of it. Returns the videos that failed, with the error.

    Raises NothingToEvaluate.
    """
    failed: list[tuple[str, str]] = []
    positions: list[int] = []
    batch: list[np.ndarray] = []
    encoded = 0

    def flush() -> None:
        nonlocal encoded
        for kind, function in encode.items():
            kept[kind].add(positions, function(batch))
        encoded += len(positions)
        positions.clear()
        batch.clear()

    for position, (item, frames_or_error) in enumerate(read_frames(benchmark.items, encoder.frames, choice)):
        on_videos(1)
        if isinstance(frames_or_error, BaseException):
            failed.append((item.video, f"{type(frames_or_error).__name__}: {frames_or_error}"))
            continue
        positions.append(position)
        batch.append(frames_or_error)
        if len(batch) == VIDEOS_PER_BATCH or sum(video.nbytes for video in batch) > BYTES_PER_READ:
            flush()
    if batch:
        flush()
    if not encoded:
        first = f"; the first error: {failed[0][0]}: {failed[0][1]}" if failed else ""
        example = f", such as {benchmark.missing[0]}" if benchmark.missing else ""
        raise NothingToEvaluate(
            f"not one of the {benchmark.named:,} videos that {benchmark.annotations.name} names can be read: "
            f"{len(benchmark.missing):,} are not there{example}, {len(failed):,} are unreadable{first}"
        )
    return failed


def _benchmark_labels(benchmark: Benchmark, train: Benchmark, items: Sequence[Item]) -> np.ndarray:
    """Returns the labels of the train split's items as positions in the benchmark's classes.

    Raises ValueError if the train split has classes that the benchmark lacks.
    """
    positions = {name: position for position, name in enumerate(benchmark.classes)}
    unknown = sorted(set(train.classes) - set(positions))
    if unknown:
        raise ValueError(f"{train.annotations} has classes that {benchmark.annotations} lacks: {', '.join(unknown)}")
    return np.array([positions[train.classes[item.label]] for item in items if item.label is not None], np.int64)
