"""Reads benchmarks from a folder: an annotation file in a format in which it is distributed, and the videos.

The annotation file and the videos are found by name, anywhere in the folder. A video that the annotation names and
the folder lacks is listed as missing. No file is unpickled, because a pickle can run code.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from internvid.evaluation.web_dataset import (
    CLASS_NAMES,
    KIND,
    SHARDS,
    class_names,
    find_shards,
    kind_of_task,
    samples,
    templates,
)
from internvid.lists.rows import Row, read_sound_rows

# choice: which of a video's own texts is right, of captions or of answers to a question. labels: which of the classes a
# video shows, often several. answer: a question is to be answered in words.
Task = Literal["retrieval", "classification", "choice", "labels", "answer"]

OTHER_ENCODING = "cp1252"  # of annotation files that are older than UTF-8
VIDEO_EXTENSIONS = frozenset(
    (".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg", ".flv", ".3gp", ".wmv", ".ts", ".ogv", ".asf")
)


class MissingAnnotations(FileNotFoundError):
    """The folder lacks the annotation file. The message gives its possible names and where to download it."""


class UnreadableAnnotations(ValueError):
    """An annotation file does not have its dataset's format. The message gives the position."""


@dataclass(frozen=True)
class Item:
    """A video of a benchmark, or a span of a video.

    video: its name in the annotation. texts: its captions, for retrieval; those to choose from, for choice; the right
    answer, for answer. label: position of its class in the benchmark's classes, or of the right text in its texts.
    start_seconds, end_seconds: the span; None: the whole file. labels: positions of its classes, for labels. question:
    what is asked about it; empty: nothing. other_question: the same question in other words. kind: what is asked for,
    in benchmarks that tell.
    """

    video: str
    path: Path
    texts: tuple[str, ...] = ()
    label: int | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None
    labels: tuple[int, ...] = ()
    question: str = ""
    other_question: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Benchmark:
    """A benchmark, as read from a folder.

    name: as used on the command line. annotations: the file that was read. missing: names of annotated videos that the
    folder lacks. missing_texts: number of their captions. classes: in the order of the labels. notes: remarks for
    readers of the metrics.
    """

    name: str
    title: str
    task: Task
    split: str
    annotations: Path
    items: tuple[Item, ...]
    missing: tuple[str, ...]
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    missing_texts: int = 0

    @property
    def named(self) -> int:
        """Number of videos in the annotation."""
        return len(self.items) + len(self.missing)

    @property
    def named_texts(self) -> int:
        """Number of captions in the annotation."""
        return sum(len(item.texts) for item in self.items) + self.missing_texts


@dataclass(frozen=True)
class _UnlocatedItem:
    """An annotated item before its file is located. names: possible file names, the most likely first.

    span_file_names: number of leading names that denote a file with the span alone.
    """

    video: str
    names: tuple[str, ...]
    texts: tuple[str, ...] = ()
    label: int | None = None
    span: tuple[float, float] | None = None
    span_file_names: int = 0
    labels: tuple[int, ...] = ()
    question: str = ""
    other_question: str = ""
    kind: str = ""


@dataclass(frozen=True)
class _Annotations:
    """The content of an annotation file. classes: in the order of the labels."""

    annotations: Path
    items: Sequence[_UnlocatedItem]
    classes: tuple[str, ...] = ()


class Folder:
    """An index of the files below a folder, by name. The folder is scanned once; symbolic links are followed."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        """Raises FileNotFoundError if there is no such folder."""
        self.root = Path(root)
        if not self.root.is_dir():
            raise FileNotFoundError(f"there is no folder {self.root}")
        self._files: dict[str, list[Path]] = {}
        self._videos: dict[str, list[Path]] = {}
        for path in sorted(self._walk(), key=lambda path: (len(path.parts), path)):
            self._files.setdefault(path.name, []).append(path)
            for name in _name_variants(path.name):
                self._videos.setdefault(name, []).append(path)

    def file(self, names: Sequence[str]) -> Path | None:
        """Returns the file with the first of these names that exists; of several the one nearest to the root."""
        return next((self._files[name][0] for name in names if name in self._files), None)

    def files_ending(self, ending: str) -> list[Path]:
        """Returns the files whose names end so, sorted by name; of several of one name the one nearest to the root."""
        return [self._files[name][0] for name in sorted(self._files) if name.endswith(ending)]

    def videos(self, name: str) -> list[Path]:
        """Returns the videos of that name, with or without a video extension; the folders in `name` are ignored."""
        candidates = (
            self._videos.get(spelling, []) for spelling in _name_variants(re.split(r"[/\\]", name)[-1], bare=True)
        )
        return next((paths for paths in candidates if paths), [])

    def _walk(self) -> Iterator[Path]:
        visited: set[tuple[int, int]] = set()
        for folder, folders, files in os.walk(self.root, followlinks=True):
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in visited:  # a symbolic link to a parent folder
                folders.clear()
                continue
            visited.add((status.st_dev, status.st_ino))
            for name in files:
                yield Path(folder, name)


def _name_variants(file_name: str, *, bare: bool = False) -> list[str]:
    """Returns a video's file name, also without its extensions (some downloads end in `.avi.mp4`).

    bare: accept a name without a video extension; otherwise the result is empty for it.
    """
    names = [file_name]  # case matters: YouTube ids can differ in case only
    while (extension := os.path.splitext(names[-1])[1]).lower() in VIDEO_EXTENSIONS:
        names.append(names[-1].removesuffix(extension))
    return names if bare or len(names) > 1 else []


@dataclass(frozen=True)
class _Dataset:
    """site: source of the annotation file. files: split -> names of its annotation file, the most likely first.

    size: number of classes, for classification.
    """

    title: str
    task: Task
    site: str
    files: Mapping[str, Sequence[str]]
    read: Callable[[Folder, _Dataset, str], _Annotations] = field(repr=False)
    split: str = "test"  # of the paper's tables
    size: int | None = None


def names() -> list[str]:
    """Returns the names of the benchmarks on which a model of videos and texts can be evaluated."""
    return [name for name, dataset in _DATASETS.items() if dataset.task != "answer"]


def question_names() -> list[str]:
    """Returns the names of the benchmarks that ask: by a choice of texts, or for an answer in words."""
    return [name for name, dataset in _DATASETS.items() if dataset.task in ("choice", "answer")]


def is_of_classes(name: str) -> bool:
    """Says whether the benchmark of that name is one of classes, not of captions. False for an unknown name."""
    return name in _DATASETS and _DATASETS[name].task == "classification"


def read_benchmark(name: str, folder: str | os.PathLike[str], *, split: str | None = None) -> Benchmark:
    """Reads a benchmark from a folder. split: None for the split of the paper's tables.

    Raises ValueError for an unknown name or split, FileNotFoundError without the folder, MissingAnnotations without
    the annotation file, UnreadableAnnotations if that has no known format.
    """
    if name not in _DATASETS:
        raise ValueError(f"there is no benchmark {name!r}; there are {', '.join(_DATASETS)}")
    dataset = _DATASETS[name]
    split = split or dataset.split
    # The shards call the split of the paper's tables "test", whatever the release calls it.
    in_shards = find_shards(Path(folder), name, (split, "test") if split == dataset.split else (split,))
    if in_shards is not None:
        return _of_shards(name, dataset, *in_shards)
    if split not in dataset.files:
        raise ValueError(f"{dataset.title} has no split {split!r} here, only {', '.join(dataset.files)}")
    video_folder = Folder(folder)
    read = dataset.read(video_folder, dataset, split)
    if not read.items:
        raise UnreadableAnnotations(f"{read.annotations} names no video")
    items: list[Item] = []
    missing: list[str] = []
    ambiguous = missing_texts = 0
    for unlocated in read.items:
        match = next(
            (
                (name_index, paths)
                for name_index, file_name in enumerate(unlocated.names)
                if (paths := video_folder.videos(file_name))
            ),
            None,
        )
        if match is None:
            missing.append(unlocated.video)
            missing_texts += len(unlocated.texts)
            continue
        name_index, paths = match
        ambiguous += len(paths) > 1
        start, end = (
            (None, None) if unlocated.span is None or name_index < unlocated.span_file_names else unlocated.span
        )
        asked = (unlocated.question, unlocated.other_question, unlocated.kind)
        about = (unlocated.texts, unlocated.label, start, end, unlocated.labels, *asked)
        items.append(Item(unlocated.video, paths[0], *about))
    notes = []
    if ambiguous:
        notes.append(f"{ambiguous:,} videos lie there more than once; the one nearest to the folder's top was taken")
    if dataset.size is not None and len(read.classes) != dataset.size:
        notes.append(f"{read.annotations.name} names {len(read.classes)} classes, {dataset.title} has {dataset.size}")
    return Benchmark(
        name,
        dataset.title,
        dataset.task,
        split,
        read.annotations,
        tuple(items),
        tuple(missing),
        read.classes,
        tuple(notes),
        missing_texts,
    )


def _of_shards(name: str, dataset: _Dataset, root: Path, split: str) -> Benchmark:
    """Reads a benchmark in shards of tar files."""
    is_of_classes = dataset.task == "classification"
    classes = tuple(class_words(each).replace("_", " ") for each in class_names(root)) if is_of_classes else ()
    if kind_of_task(root) not in ("", dataset.task):
        raise UnreadableAnnotations(
            f"{root / KIND} says {kind_of_task(root)}, and {dataset.title} is of {dataset.task}"
        )
    if is_of_classes and not classes:
        raise MissingAnnotations(f"{dataset.title} needs its list of classes: {root / CLASS_NAMES}")
    try:
        of_shards = samples(root, split, VIDEO_EXTENSIONS)
    except ValueError as error:
        raise UnreadableAnnotations(str(error)) from error
    items, missing = [], [sample for sample in of_shards if not sample.file]
    for sample in of_shards:
        if not sample.file:
            continue
        if not (sample.label in range(len(classes)) if is_of_classes else sample.texts):
            what = f"class of the {len(classes)}" if is_of_classes else "caption"
            raise UnreadableAnnotations(f"{root / split}: {sample.key} has no {what}")
        items.append(Item(sample.key, root / sample.file, tuple(sample.texts), sample.label if is_of_classes else None))
    if not items:
        raise UnreadableAnnotations(f"{root / split} names no video")
    notes = []
    if dataset.size is not None and len(classes) != dataset.size:
        notes.append(f"{CLASS_NAMES} names {len(classes)} classes, {dataset.title} has {dataset.size}")
    if is_of_classes and (sentences := templates(root)):
        notes.append(f"the {sentences} templates of {root.name} are not used: classes are described as in the paper")
    return Benchmark(
        name,
        dataset.title,
        dataset.task,
        split,
        root / split / SHARDS,
        tuple(items),
        tuple(sample.key for sample in missing),
        classes,
        tuple(notes),
        sum(len(sample.texts) for sample in missing),
    )


# --- reading files ---------------------------------------------------------------------------------------------------


def _annotations(folder: Folder, dataset: _Dataset, split: str, *, why: str = "") -> Path:
    file_names = dataset.files[split]
    path = folder.file(file_names)
    if path is None:
        raise MissingAnnotations(
            f"{dataset.title} ({split}) needs its annotation file: {' or '.join(file_names)}, anywhere under "
            f"{folder.root}. {why}It comes from {dataset.site}."
        )
    return path


def _text(path: Path) -> str:
    """Reads a text file as UTF-8, else in the other encoding."""
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode(OTHER_ENCODING, errors="replace")


def _lines(path: Path) -> list[tuple[int, str]]:
    """Returns the lines that are not empty, with their numbers."""
    lines = enumerate(_text(path).split("\n"), start=1)  # splitlines would also split at other separators
    return [(number, line.rstrip("\r")) for number, line in lines if line.strip()]


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise UnreadableAnnotations(f"{path} is no JSON: {error}") from error


def _rows(path: Path, columns: Sequence[str]) -> list[Row]:
    """Reads a CSV file whose header must have these columns."""
    try:
        rows = list(read_sound_rows(path, columns, other_encoding=OTHER_ENCODING))
    except ValueError as error:
        raise UnreadableAnnotations(str(error)) from error
    absent = [column for column in columns if rows and column not in rows[0].cells]
    if absent:
        raise UnreadableAnnotations(f"{path} has no column {', '.join(absent)}; its columns are {list(rows[0].cells)}")
    return rows


def _grouped(pairs: Iterable[tuple[str, str]]) -> list[_UnlocatedItem]:
    """Groups (video, text) pairs by video, in order of appearance."""
    texts: dict[str, list[str]] = {}
    for video, text in pairs:
        texts.setdefault(video, []).append(text.strip())
    return [_UnlocatedItem(video, (video,), tuple(video_texts)) for video, video_texts in texts.items()]


def _joined_texts(items: Iterable[_UnlocatedItem]) -> list[_UnlocatedItem]:
    """Joins each video's texts into one paragraph, for paragraph-to-video retrieval."""
    return [_UnlocatedItem(item.video, item.names, (" ".join(item.texts),)) for item in items]


def _listed(path: Path, content: Any) -> list[_UnlocatedItem]:
    """Reads the format that retrieval papers use for splits: [{"video": "x.mp4", "caption": "…" or ["…", …]}, …]."""
    pairs = []
    for number, entry in enumerate(content):
        video = entry.get("video", entry.get("image")) if isinstance(entry, dict) else None
        captions = entry.get("caption") if isinstance(entry, dict) else None
        if isinstance(captions, str):
            captions = [captions]
        if (
            not isinstance(video, str)
            or not isinstance(captions, list)
            or not all(isinstance(c, str) for c in captions)
        ):
            raise UnreadableAnnotations(
                f'{path}, entry {number}: it is not {{"video": name, "caption": text or texts}}'
            )
        pairs += [(video, caption) for caption in captions]
    return _grouped(pairs)


# --- retrieval -------------------------------------------------------------------------------------------------------


def _msrvtt(folder: Folder, dataset: _Dataset, split: str) -> _Annotations:
    """The 1k-A split of JSFusion: key,vid_key,video_id,sentence with one sentence a video; or a list in JSON."""
    path = _annotations(folder, dataset, split)
    if path.suffix == ".json":
        return _Annotations(path, _listed(path, _json(path)))
    if split == "train":
        videos = [row.cells["video_id"] for row in _rows(path, ("video_id",))]
        return _Annotations(path, _msrvtt_sentences(folder, dataset, videos))
    rows = _rows(path, ("video_id", "sentence"))
    return _Annotations(path, _grouped((row.cells["video_id"], row.cells["sentence"]) for row in rows))


def _msrvtt_1k_b(folder: Folder, dataset: _Dataset, split: str) -> _Annotations:
    """A list with a video a line, whose sentences are in MSRVTT_data.json: all 20 of each count."""
    path = _annotations(folder, dataset, split)
    return _Annotations(path, _msrvtt_sentences(folder, dataset, _text(path).split()))


def _msrvtt_sentences(folder: Folder, dataset: _Dataset, videos: Sequence[str]) -> list[_UnlocatedItem]:
    """Returns the videos with their sentences, in order."""
    path = folder.file(["MSRVTT_data.json"])
    if path is None:
        raise MissingAnnotations(
            f"{dataset.title} needs the sentences of its videos: MSRVTT_data.json, anywhere under {folder.root}. It "
            f"comes from {dataset.site}."
        )
    try:
        pairs = [(sentence["video_id"], sentence["caption"]) for sentence in _json(path)["sentences"]]
    except (KeyError, TypeError) as error:
        raise UnreadableAnnotations(f"{path} lacks sentences in MSR-VTT's form: {error!r}") from error
    of_split = dict.fromkeys(videos)
    described = {item.video: item for item in _grouped(pair for pair in pairs if pair[0] in of_split)}
    if undescribed := [video for video in of_split if video not in described]:
        raise UnreadableAnnotations(f"{path} has no sentence of {len(undescribed)} videos: {undescribed[0]}, …")
    return [described[video] for video in of_split]


def _msrvtt_full(folder: Folder, dataset: _Dataset, split: str) -> _Annotations:
    """{"videos": [{"video_id", "split"}], "sentences": [{"video_id", "caption"}]}: 20 sentences a video."""
    path = _annotations(folder, dataset, split)
    content = _json(path)
    try:
        split_videos = {video["video_id"] for video in content["videos"] if video["split"] == split}
        sentences = [(sentence["video_id"], sentence["caption"]) for sentence in content["sentences"]]
    except (KeyError, TypeError) as error:
        raise UnreadableAnnotations(f"{path} lacks videos or sentences in MSR-VTT's form: {error!r}") from error
    return _Annotations(path, _grouped(pair for pair in sentences if pair[0] in split_videos))


def _lsmdc(folder: Folder, dataset: _Dataset, split: str) -> _Annotations:
    """Six columns without a header: clip, aligned start and end, extracted start and end, sentence."""
    path = _annotations(folder, dataset, split)
    if path.suffix == ".json":
        return _Annotations(path, _listed(path, _json(path)))
    pairs = []
    for number, line in _lines(path):
        columns = line.split("\t" if "\t" in line else "|")
        if len(columns) != 6:
            raise UnreadableAnnotations(f"{path}, line {number}: {len(columns)} columns instead of 6")
        pairs.append((columns[0].strip(), columns[5]))
    return _Annotations(path, _grouped(pairs))


def _didemo(folder: Folder, dataset: _Dataset, split: str) -> _Annotations:
    """[{"video", "description", "times", …}, …]: a video's descriptions, in the file's order, are its paragraph."""
    path = _annotations(folder, dataset, split)
    content = _json(path)
    try:
        described = [(entry["video"], entry["description"]) for entry in content if "description" in entry]
    except (KeyError, TypeError) as error:
        raise UnreadableAnnotations(f"{path} is not in DiDeMo's form: {error!r}") from error
    return _Annotations(path, _joined_texts(_grouped(described) if described else _listed(path, content)))


def _msvd(folder: Folder, dataset: _Dataset, split: str) -> _Annotations:
    """`AllVideoDescriptions.txt` (lines "clip sentence"; # starts a comment) and a list of the split's clips.

    A clip has about 40 sentences, each a separate query. Also {clip: [sentence, …]} in JSON, or a list in JSON.
    """
    why = ""
    if folder.file(["raw-captions.pkl"]) is not None:
        why = "raw-captions.pkl is not opened: a pickle can run code. "
    path = _annotations(folder, dataset, split, why=why)
    if path.name == f"msvd_ret_{split}.json":
        return _Annotations(path, _listed(path, _json(path)))
    clips = folder.file([f"{split}_list.txt"])
    if clips is None:
        raise MissingAnnotations(
            f"{dataset.title} needs the list of its {split} clips: {split}_list.txt, anywhere under {folder.root}. "
            f"It comes from {dataset.site}."
        )
    split_clips = dict.fromkeys(_text(clips).split())
    if path.suffix == ".json":
        pairs = _sentences_by_clip(path)
    else:
        lines = [line for _, line in _lines(path) if not line.startswith("#")]
        pairs = [(clip, text) for clip, _, text in (line.partition(" ") for line in lines)]
    described = {item.video: item for item in _grouped(pair for pair in pairs if pair[0] in split_clips)}
    undescribed = [clip for clip in split_clips if clip not in described]
    if undescribed:
        raise UnreadableAnnotations(
            f"{path} describes {len(undescribed)} clips of {clips.name} not at all: {undescribed[0]}, …"
        )
    return _Annotations(path, [described[clip] for clip in split_clips])


def _sentences_by_clip(path: Path) -> list[tuple[str, str]]:
    """{clip: [sentence, …]}; a sentence may be a list of its words."""
    content = _json(path)
    try:
        return [
            (clip, text if isinstance(text, str) else " ".join(text))
            for clip, sentences in content.items()
            for text in sentences
        ]
    except (AttributeError, TypeError) as error:
        raise UnreadableAnnotations(f"{path} is not {{clip: [sentence, …]}}: {error!r}") from error


def _activitynet(folder: Folder, dataset: _Dataset, split: str) -> _Annotations:
    """{"v_ID": {"duration", "timestamps", "sentences"}}: the sentences of a video are its paragraph."""
    path = _annotations(folder, dataset, split)
    content = _json(path)
    if isinstance(content, list):
        return _Annotations(path, _joined_texts(_listed(path, content)))
    items = []
    for video, entry in content.items():
        sentences = entry.get("sentences") if isinstance(entry, dict) else None
        if not isinstance(sentences, list) or not all(isinstance(sentence, str) for sentence in sentences):
            raise UnreadableAnnotations(f"{path}: {video} has no sentences")
        paragraph = " ".join(sentence.strip() for sentence in sentences)
        # Files are named by the YouTube id, with or without the prefix.
        items.append(_UnlocatedItem(video, (video, video.removeprefix("v_")), (paragraph,)))
    return _Annotations(path, items)


_SPAN_IN_NAME = re.compile(r"(?P<video>.+)_(?P<start>\d+)_(?P<end>\d+)")


def _vatex(folder: Folder, dataset: _Dataset, split: str) -> _Annotations:
    """[{"videoID": "ID_000122_000132", "enCap": [ten sentences]}, …]: the name of a video has its span."""
    path = _annotations(folder, dataset, split)
    items = []
    for number, entry in enumerate(_list(path)):
        name, captions = str(_value(entry, "videoID")), _value(entry, "enCap")
        match = _SPAN_IN_NAME.fullmatch(name)
        if match is None or not _are_texts(captions):
            raise UnreadableAnnotations(f"{path}, entry {number}: it has no videoID ID_START_END, or no texts in enCap")
        span = (float(match["start"]), float(match["end"]))
        texts = tuple(caption.strip() for caption in captions)
        items.append(_UnlocatedItem(name, (name, match["video"]), texts, span=span, span_file_names=1))
    return _Annotations(path, items)


def _youcook2(folder: Folder, dataset: _Dataset, split: str) -> _Annotations:
    """{"database": {ID: {"subset", "annotations": [{"id", "segment", "sentence"}]}}}: each segment is a clip."""
    path = _annotations(folder, dataset, split)
    subset = {"val": "validation", "train": "training"}[split]
    items = []
    try:
        for video, entry in _json(path)["database"].items():
            for clip in entry["annotations"] if entry["subset"] == subset else ():
                name, (start, end) = f"{video}_{clip['id']}", map(float, clip["segment"])
                texts = (str(clip["sentence"]).strip(),)
                items.append(_UnlocatedItem(name, (name, video), texts, span=(start, end), span_file_names=1))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableAnnotations(f"{path} is not in YouCook2's form: {error!r}") from error
    return _Annotations(path, items)


def _choices(folder: Folder, dataset: _Dataset, split: str) -> _Annotations:
    """[{"video", "caption": [the texts to choose from], "answer": the position of the right one}, …]."""
    path = _annotations(folder, dataset, split)
    items = []
    for number, entry in enumerate(_list(path)):
        video, captions, answer = (_value(entry, key) for key in ("video", "caption", "answer"))
        if not isinstance(video, str) or not _are_texts(captions) or answer not in range(len(captions)):
            raise UnreadableAnnotations(
                f'{path}, entry {number}: it is not {{"video": name, "caption": texts, "answer": position}}'
            )
        items.append(_UnlocatedItem(video, (video,), tuple(captions), label=answer))
    return _Annotations(path, items)


MVBENCH_TASKS = (
    "action_sequence", "action_prediction", "action_antonym", "fine_grained_action", "unexpected_action",
    "object_existence", "object_interaction", "object_shuffle", "moving_direction", "action_localization",
    "scene_transition", "action_count", "moving_count", "moving_attribute", "state_change", "fine_grained_pose",
    "character_order", "egocentric_navigation", "episodic_reasoning", "counterfactual_inference",
)  # fmt: skip


def _mvbench(folder: Folder, dataset: _Dataset, split: str) -> _Annotations:
    """A file of each task, [{"video", "question", "candidates": texts, "answer": one of them}, …]; in some tasks a span
    by "start" and "end" in seconds. Tasks whose file is not there are left out; videos that are folders of frames are
    missing.
    """
    first = _annotations(folder, dataset, split)
    items = []
    for task in MVBENCH_TASKS:
        path = folder.file([f"{task}.json"])
        for number, entry in enumerate(_list(path) if path else ()):
            video, question, texts, answer = (
                _value(entry, key) for key in ("video", "question", "candidates", "answer")
            )
            start, end = _value(entry, "start"), _value(entry, "end")
            if (
                not isinstance(video, str)
                or not isinstance(question, str)
                or not _are_texts(texts)
                or answer not in texts
            ):
                raise UnreadableAnnotations(
                    f"{path}, entry {number}: it is no video and question with candidates, of which one is the answer"
                )
            span = None if start is None or end is None else (float(start), float(end))
            label = texts.index(answer)
            items.append(
                _UnlocatedItem(video, (video,), tuple(texts), label=label, span=span, question=question, kind=task)
            )
    return _Annotations(first, items)


def _question_answers(folder: Folder, dataset: _Dataset, split: str) -> _Annotations:
    """`test_q.json`, [{"video_name", "question", "question_id"}], and `test_a.json`, [{"question_id", "answer"}];
    or one file of [{"video_id", "question", "answer"}], with numbers as ids: N is vidN or videoN, and
    `youtube_mapping.txt` (lines "name vidN") names the files of MSVD.
    """
    path = _annotations(folder, dataset, split)
    items = []
    answers_path = folder.file([path.name.replace("_q.json", "_a.json")])
    try:
        if path.name.endswith("_q.json"):
            if answers_path is None:
                raise MissingAnnotations(
                    f"{dataset.title} needs {path.name.replace('_q.json', '_a.json')} beside {path}"
                )
            answers = {str(entry["question_id"]): entry for entry in _list(answers_path)}
            for entry in _list(path):
                video, answer = str(entry["video_name"]), answers[str(entry["question_id"])]
                names = (video, f"v_{video}", video.removeprefix("v_"))
                texts, kind = (str(answer["answer"]),), str(answer.get("type", ""))
                items.append(_UnlocatedItem(video, names, texts, question=str(entry["question"]), kind=kind))
            return _Annotations(path, items)
        mapping = folder.file(["youtube_mapping.txt"])
        lines = [line.split() for _, line in _lines(mapping)] if mapping else []
        file_names = {columns[1]: columns[0] for columns in lines if len(columns) == 2}
        for entry in _list(path):
            number = entry["video_id"]
            numbered: tuple[str, ...] = (
                *filter(None, [file_names.get(f"vid{number}")]),
                f"video{number}",
                f"vid{number}",
                str(number),
            )
            items.append(
                _UnlocatedItem(numbered[0], numbered, (str(entry["answer"]),), question=str(entry["question"]))
            )
    except (AttributeError, KeyError, TypeError) as error:
        raise UnreadableAnnotations(
            f"{path} has not questions with answers in {dataset.title}'s form: {error!r}"
        ) from error
    return _Annotations(path, items)


VIDEO_CHATGPT_FILES = {
    "generic": "generic_qa.json",
    "temporal": "temporal_qa.json",
    "consistency": "consistency_qa.json",
}


def _video_chatgpt(folder: Folder, dataset: _Dataset, split: str) -> _Annotations:
    """Up to three files of [{"video_name", "Q" or "Q1" and "Q2", "A"}]: see VIDEO_CHATGPT_FILES."""
    first = _annotations(folder, dataset, split)
    items = []
    for kind, name in VIDEO_CHATGPT_FILES.items():
        path = folder.file([name])
        for number, entry in enumerate(_list(path) if path else ()):
            video, answer = _value(entry, "video_name"), _value(entry, "A")
            question, rephrased = _value(entry, "Q1") or _value(entry, "Q"), _value(entry, "Q2") or ""
            if not all(isinstance(text, str) and text for text in (video, answer, question)):
                raise UnreadableAnnotations(f"{path}, entry {number}: it has no video_name, Q (or Q1 and Q2) and A")
            items.append(
                _UnlocatedItem(video, (video,), (answer,), question=question, other_question=str(rephrased), kind=kind)
            )
    return _Annotations(first, items)


def _list(path: Path) -> list[Any]:
    content = _json(path)
    if not isinstance(content, list):
        raise UnreadableAnnotations(f"{path} is no list, but {type(content).__name__}")
    return content


def _value(entry: Any, key: str) -> Any:
    return entry.get(key) if isinstance(entry, dict) else None


def _are_texts(content: Any) -> bool:
    return isinstance(content, list) and bool(content) and all(isinstance(text, str) for text in content)


# --- classification --------------------------------------------------------------------------------------------------


def _kinetics(folder: Folder, dataset: _Dataset, split: str) -> _Annotations:
    """label,youtube_id,time_start,time_end,split.

    `ID_000010_000020.mp4` holds the span alone (the layout of the CVDF and of common downloaders); `ID.mp4` is the
    whole video, unless it is no longer than the span.
    """
    path = _annotations(folder, dataset, split)
    return _of_classes(path, list(_kinetics_videos(path)))


def _of_classes(path: Path, videos: Sequence[tuple[str, _UnlocatedItem]]) -> _Annotations:
    """videos: each with the name of its class."""
    classes = tuple(sorted({name for name, _ in videos}))
    labels = {name: position for position, name in enumerate(classes)}
    return _Annotations(path, [replace(item, label=labels[name]) for name, item in videos], classes)


def _kinetics_videos(path: Path) -> Iterator[tuple[str, _UnlocatedItem]]:
    for row in _rows(path, ("label", "youtube_id", "time_start", "time_end")):
        try:
            start, end = float(row.cells["time_start"]), float(row.cells["time_end"])
        except ValueError as error:
            raise UnreadableAnnotations(f"{path}:{row.number}: {error}") from error
        video = row.cells["youtube_id"].strip()
        span_names = (f"{video}_{start:06.0f}_{end:06.0f}", f"{video}_{start:.0f}_{end:.0f}")
        names = (*span_names, video)
        item = _UnlocatedItem(span_names[0], names, span=(start, end), span_file_names=len(span_names))
        yield row.cells["label"].strip(), item


def _kinetics_710(folder: Folder, dataset: _Dataset, split: str) -> _Annotations:
    """The train splits of Kinetics-400, -600 and -700 together: classes of one name are one, a video is taken once.

    Videos to validate or to test with in one of the three are left out, where the folder has those lists too.
    """
    videos: dict[str, tuple[str, _UnlocatedItem]] = {}
    held_out: set[str] = set()
    paths = []
    for classes in (400, 600, 700):
        for part, all_names in _kinetics_files(classes).items():
            file_names = [name for name in all_names if str(classes) in name]  # a plain one is of any
            path = folder.file(file_names)
            if path is None and part == split:
                raise MissingAnnotations(
                    f"{dataset.title} ({split}) needs its annotation file: {' or '.join(file_names)}, anywhere under "
                    f"{folder.root}. It comes from {dataset.site}."
                )
            if path is None:
                continue
            if part != split:
                held_out |= {item.names[-1] for _, item in _kinetics_videos(path)}
                continue
            paths.append(path)
            for name, item in _kinetics_videos(path):
                videos.setdefault(item.video, (name.lower(), item))
    kept = [(name, item) for name, item in videos.values() if item.names[-1] not in held_out]
    return _of_classes(paths[0], kept)


def _charades(folder: Folder, dataset: _Dataset, split: str) -> _Annotations:
    """id,…,actions,… with "c092 11.90 21.20;c147 0.00 12.60", and `Charades_v1_classes.txt` ("c000 Holding a towel").

    A video has the classes of all its actions; their times are not used.
    """
    path = _annotations(folder, dataset, split)
    index = folder.file(["Charades_v1_classes.txt"])
    if index is None:
        raise MissingAnnotations(
            f"{dataset.title} needs its list of classes: Charades_v1_classes.txt, anywhere under {folder.root}. It "
            f"comes from {dataset.site}."
        )
    named = dict(line.partition(" ")[::2] for _, line in _lines(index))
    positions = {code: position for position, code in enumerate(named)}
    items = []
    for row in _rows(path, ("id", "actions")):
        codes = [action.split()[0] for action in row.cells["actions"].split(";") if action.strip()]
        if unknown := [code for code in codes if code not in positions]:
            raise UnreadableAnnotations(f"{path}:{row.number}: {unknown[0]} is no class of {index.name}")
        labels = tuple(sorted({positions[code] for code in codes}))
        video = row.cells["id"].strip()
        items.append(_UnlocatedItem(video, (video,), labels=labels))
    return _Annotations(path, items, tuple(name.strip() for name in named.values()))


def _ucf101(folder: Folder, dataset: _Dataset, split: str) -> _Annotations:
    """`classInd.txt` ("1 ApplyEyeMakeup") and the first list of the split ("ApplyEyeMakeup/v_….avi", followed by a
    number in train lists).
    """
    path = _annotations(folder, dataset, split)
    index = folder.file(["classInd.txt"])
    if index is None:
        raise MissingAnnotations(
            f"{dataset.title} needs its list of classes: classInd.txt, anywhere under {folder.root}. It comes from "
            f"{dataset.site}."
        )
    numbered = [line.split() for _, line in _lines(index)]
    if any(len(columns) != 2 or not columns[0].isdigit() for columns in numbered):
        raise UnreadableAnnotations(f'{index}: its lines are not "number class"')
    class_names = [columns[1] for columns in sorted(numbered, key=lambda columns: int(columns[0]))]
    labels = {name.lower(): position for position, name in enumerate(class_names)}
    items = []
    for _, line in _lines(path):
        video = line.split()[0]
        # Folder and index differ in case for HandstandPushups.
        label = labels.get(video.split("/")[0].lower())
        if label is None:
            raise UnreadableAnnotations(f"{path}: {video} lies in no class of {index.name}")
        items.append(_UnlocatedItem(video, (video,), label=label))
    return _Annotations(path, items, tuple(class_words(name) for name in class_names))


def _hmdb51(folder: Folder, dataset: _Dataset, split: str) -> _Annotations:
    """A file for each class, `brush_hair_test_split1.txt`, with lines "video number": 1 to train on, 2 to test."""
    ending = dataset.files[split][0].removeprefix("CLASS")
    paths = folder.files_ending(ending)
    if not paths:
        _annotations(folder, dataset, split)  # raises
    number = {"test": "2", "train": "1"}[split]
    class_names = [path.name.removesuffix(ending) for path in paths]
    items = []
    for label, path in enumerate(paths):
        for line_number, line in _lines(path):
            columns = line.split()
            if len(columns) != 2 or columns[1] not in ("0", "1", "2"):
                raise UnreadableAnnotations(f'{path}, line {line_number}: it is not "video number"')
            if columns[1] == number:
                items.append(_UnlocatedItem(columns[0], (columns[0],), label=label))
    return _Annotations(paths[0].parent, items, tuple(name.replace("_", " ") for name in class_names))


def _ssv2(folder: Folder, dataset: _Dataset, split: str) -> _Annotations:
    """[{"id", "template": "Putting [something] on [something]"}, …], and {class without brackets: "number"}."""
    path = _annotations(folder, dataset, split)
    names = ("something-something-v2-labels.json", "labels.json")
    index = folder.file(names)
    if index is None:
        raise MissingAnnotations(
            f"{dataset.title} needs its list of classes: {' or '.join(names)}, anywhere under {folder.root}. It comes "
            f"from {dataset.site}."
        )
    try:
        classes = [name for _, name in sorted((int(number), name) for name, number in _json(index).items())]
        labels = {name: position for position, name in enumerate(classes)}
        items = []
        for entry in _list(path):
            video, name = str(entry["id"]), re.sub(r"[\[\]]", "", entry["template"])
            items.append(_UnlocatedItem(video, (video,), label=labels[name]))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableAnnotations(f"{path} or {index.name} has not Something-Something's form: {error!r}") from error
    return _Annotations(path, items, tuple(classes))


def class_words(name: str) -> str:
    """ApplyEyeMakeup -> Apply Eye Makeup."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)


_KINETICS_SITE = "the Kinetics pages of Google DeepMind, and the CVDF's kinetics-dataset on GitHub with the videos"


def _kinetics_files(classes: int) -> dict[str, list[str]]:
    """Names with the number of classes come before plain ones, because a folder may hold several versions."""
    prefixes = (f"kinetics{classes}_", f"kinetics-{classes}_", f"k{classes}_", "", "kinetics_")
    spellings = {"val": ("val", "validate", "validation"), "train": ("train",), "test": ("test",)}
    return {
        split: [f"{prefix}{spelling}.csv" for prefix in prefixes for spelling in split_spellings]
        for split, split_spellings in spellings.items()
    }


_SSV2_SITE = "the Something-Something pages of Qualcomm"

_DATASETS: dict[str, _Dataset] = {
    **{
        f"kinetics{classes}": _Dataset(
            f"Kinetics-{classes}", "classification", _KINETICS_SITE, _kinetics_files(classes), _kinetics, "val", classes
        )
        for classes in (400, 600, 700)
    },
    "kinetics710": _Dataset(
        "Kinetics-710",
        "classification",
        _KINETICS_SITE,
        {"train": ["kinetics400_train.csv, kinetics600_train.csv and kinetics700_train.csv"]},
        _kinetics_710,
        "train",
        710,
    ),
    "charades": _Dataset(
        "Charades",
        "labels",
        "the Charades pages of the Allen Institute for AI (Charades.zip)",
        {"test": ["Charades_v1_test.csv"], "train": ["Charades_v1_train.csv"]},
        _charades,
        size=157,
    ),
    "ucf101": _Dataset(
        "UCF-101",
        "classification",
        "the UCF101 page of the Center for Research in Computer Vision, University of Central Florida "
        "(UCF101TrainTestSplits-RecognitionTask.zip)",
        {"test": ["testlist01.txt"], "train": ["trainlist01.txt"]},
        _ucf101,
        size=101,
    ),
    "hmdb51": _Dataset(
        "HMDB-51",
        "classification",
        "the HMDB page of the Serre Lab, Brown University (test_train_splits.rar)",
        {"test": ["CLASS_test_split1.txt"], "train": ["CLASS_test_split1.txt"]},
        _hmdb51,
        size=51,
    ),
    "ssv2": _Dataset(
        "Something-Something V2",
        "classification",
        _SSV2_SITE,
        {
            "val": ["something-something-v2-validation.json", "validation.json"],
            "train": ["something-something-v2-train.json", "train.json"],
        },
        _ssv2,
        "val",
        174,
    ),
    "ssv2-mc": _Dataset(
        "Something-Something V2, multiple choice",
        "choice",
        "the annotations of UMT and InternVideo2 (anno_downstream), the videos from " + _SSV2_SITE,
        {"val": ["ssv2_mc_val.json", "ssv2_mc.json"]},
        _choices,
        "val",
    ),
    "msrvtt-mc": _Dataset(
        "MSR-VTT, multiple choice",
        "choice",
        "the annotations of Singularity and UMT (anno_downstream), the videos from MSR-VTT",
        {"test": ["msrvtt_mc_test.json"]},
        _choices,
    ),
    "mvbench": _Dataset(
        "MVBench",
        "choice",
        "OpenGVLab/MVBench on the Hugging Face hub",
        {"test": [f"{task}.json" for task in MVBENCH_TASKS]},
        _mvbench,
    ),
    "msvd-qa": _Dataset(
        "MSVD-QA",
        "answer",
        "the authors of MSVD-QA and MSRVTT-QA (Xu et al., 2017), or Video-ChatGPT's files for zero-shot evaluation",
        {"test": ["test_qa.json", "test_q.json"]},
        _question_answers,
    ),
    "msrvtt-qa": _Dataset(
        "MSRVTT-QA",
        "answer",
        "the authors of MSVD-QA and MSRVTT-QA (Xu et al., 2017), or Video-ChatGPT's files for zero-shot evaluation",
        {"test": ["test_qa.json", "test_q.json"]},
        _question_answers,
    ),
    "activitynet-qa": _Dataset(
        "ActivityNet-QA",
        "answer",
        "activitynet-qa on GitHub, by the authors of ActivityNet-QA",
        {"test": ["test_q.json"], "val": ["val_q.json"]},
        _question_answers,
    ),
    "video-chatgpt": _Dataset(
        "Video-ChatGPT benchmark",
        "answer",
        "the Video-ChatGPT pages of MBZUAI (quantitative benchmarking)",
        {"test": list(VIDEO_CHATGPT_FILES.values())},
        _video_chatgpt,
    ),
    "vatex": _Dataset(
        "VATEX",
        "retrieval",
        "the VATEX pages of UC Santa Barbara",
        {
            "test": ["vatex_public_test_english_v1.1.json"],
            "val": ["vatex_validation_v1.0.json"],
            "train": ["vatex_training_v1.0.json"],
        },
        _vatex,
    ),
    "youcook2": _Dataset(
        "YouCook2",
        "retrieval",
        "the YouCook2 pages of the University of Michigan (youcookii_annotations_trainval.tar.gz)",
        {name: ["youcookii_annotations_trainval.json"] for name in ("val", "train")},
        _youcook2,
        "val",
    ),
    "msrvtt": _Dataset(
        "MSR-VTT 1k-A",
        "retrieval",
        "the JSFusion authors' split, passed on with CLIP4Clip (msrvtt_data.zip)",
        {
            "test": ["MSRVTT_JSFUSION_test.csv", "msrvtt_ret_test1k.json", "msrvtt_test1k.json"],
            "train": ["MSRVTT_train.9k.csv", "msrvtt_ret_train9k.json", "msrvtt_train9k.json"],
        },
        _msrvtt,
    ),
    "msrvtt-1k-b": _Dataset(
        "MSR-VTT 1k-B",
        "retrieval",
        "collaborative-experts on GitHub (the list of Miech), and CLIP4Clip's msrvtt_data.zip (the sentences)",
        {"test": ["test_list_miech.txt"], "train": ["train_list_miech.txt"]},
        _msrvtt_1k_b,
    ),
    "msrvtt-full": _Dataset(
        "MSR-VTT full test",
        "retrieval",
        "the MSR-VTT challenge of Microsoft Research, also passed on with CLIP4Clip (msrvtt_data.zip)",
        {
            "test": ["MSRVTT_data.json", "test_videodatainfo.json"],
            "validate": ["MSRVTT_data.json", "train_val_videodatainfo.json"],
        },
        _msrvtt_full,
    ),
    "lsmdc": _Dataset(
        "LSMDC",
        "retrieval",
        "the Large Scale Movie Description Challenge, for which the MPI for Informatics gives access on request",
        {
            "test": ["LSMDC16_challenge_1000_publictect.csv", "lsmdc_ret_test_1000.json"],
            "train": ["LSMDC16_annos_training.csv", "lsmdc_ret_train.json"],
        },
        _lsmdc,
    ),
    "didemo": _Dataset(
        "DiDeMo",
        "retrieval",
        "LocalizingMoments on GitHub, by the authors of DiDeMo",
        {
            "test": ["test_data.json", "didemo_ret_test.json"],
            "val": ["val_data.json", "didemo_ret_val.json"],
            "train": ["train_data.json", "didemo_ret_train.json"],
        },
        _didemo,
    ),
    "msvd": _Dataset(
        "MSVD",
        "retrieval",
        "the Microsoft Research Video Description Corpus, University of Texas at Austin (descriptions and videos), and "
        "CLIP4Clip's msvd_data.zip (lists of clips)",
        {
            "test": ["AllVideoDescriptions.txt", "raw-captions.json", "msvd_ret_test.json"],
            "val": ["AllVideoDescriptions.txt", "raw-captions.json", "msvd_ret_val.json"],
            "train": ["AllVideoDescriptions.txt", "raw-captions.json", "msvd_ret_train.json"],
        },
        _msvd,
    ),
    "activitynet": _Dataset(
        "ActivityNet Captions",
        "retrieval",
        "the Dense-Captioning Events in Videos pages of Stanford (captions.zip)",
        {
            "val_1": ["val_1.json", "anet_ret_val_1.json", "anet_ret_val.json"],
            "val_2": ["val_2.json", "anet_ret_val_2.json"],
            "train": ["train.json", "anet_ret_train.json"],
        },
        _activitynet,
        "val_1",
    ),
}
