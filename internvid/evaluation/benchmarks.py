"""The usual benchmarks, read from a folder: annotation files in the forms in which their makers and the papers that
followed hand them out, and videos found by name anywhere below it.

Nothing is dropped in silence: a video that the annotation names and the folder does not hold is listed as missing. The
annotation file is looked for by name, everywhere in the folder. No file is unpickled: a pickle can run code.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Task = Literal["retrieval", "classification"]

VIDEO_EXTENSIONS = frozenset(
    (".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg", ".flv", ".3gp", ".wmv", ".ts", ".ogv", ".asf")
)


class MissingAnnotations(FileNotFoundError):
    """The folder does not hold the annotation file. The message says which was looked for, and whose site has it."""


class UnreadableAnnotations(ValueError):
    """An annotation file that is not in its dataset's form. The message says where."""


@dataclass(frozen=True)
class Item:
    """A video of a benchmark, or a span of one.

    video: its name in the annotation. texts: what describes it, for retrieval. label: position of its class in the
    benchmark's classes. start_seconds, end_seconds: the span, None for the whole file.
    """

    video: str
    path: Path
    texts: tuple[str, ...] = ()
    label: int | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None


@dataclass(frozen=True)
class Benchmark:
    """A benchmark as a folder holds it.

    name: as the command takes it. annotations: the file that was read. missing: videos that it names and the folder
    does not hold. classes: in the order of the labels. notes: what a reader of the figures should know.
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

    @property
    def named(self) -> int:
        """How many videos the annotation names."""
        return len(self.items) + len(self.missing)


@dataclass(frozen=True)
class _Named:
    """An item whose file is not known yet: names under which it may lie, the likeliest first.

    whole: how many of these names are of a file that holds the span alone.
    """

    video: str
    names: tuple[str, ...]
    texts: tuple[str, ...] = ()
    label: int | None = None
    span: tuple[float, float] | None = None
    whole: int = 0


@dataclass(frozen=True)
class _Read:
    """What a reader gives. size: how many classes the dataset has."""

    annotations: Path
    items: Sequence[_Named]
    classes: tuple[str, ...] = ()
    size: int | None = None


class Folder:
    """The files below a folder by their names: looked through once, links followed."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        """Raises FileNotFoundError where there is no such folder."""
        self.root = Path(root)
        if not self.root.is_dir():
            raise FileNotFoundError(f"there is no folder {self.root}")
        self._files: dict[str, list[Path]] = {}
        self._videos: dict[str, list[Path]] = {}
        for path in sorted(self._walk(), key=lambda path: (len(path.parts), path)):
            self._files.setdefault(path.name, []).append(path)
            for name in _names_of(path.name):
                self._videos.setdefault(name, []).append(path)

    def file(self, names: Sequence[str]) -> Path | None:
        """The first of these names that is there; of several files the one nearest to the root."""
        return next((self._files[name][0] for name in names if name in self._files), None)

    def videos(self, name: str) -> list[Path]:
        """Files of that name, with or without the extension of a video, and whatever folder it is said to lie in."""
        found = (self._videos.get(known, []) for known in _names_of(re.split(r"[/\\]", name)[-1], bare=True))
        return next((paths for paths in found if paths), [])

    def _walk(self) -> Iterator[Path]:
        seen: set[tuple[int, int]] = set()
        for folder, folders, files in os.walk(self.root, followlinks=True):
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:  # a link that leads back up
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            for name in files:
                yield Path(folder, name)


def _names_of(file_name: str, *, bare: bool = False) -> list[str]:
    """A video's name, and without its extensions: downloads end in `.avi.mp4`. bare: though it has no extension."""
    names = [file_name]  # ids of YouTube differ by case alone
    while (extension := os.path.splitext(names[-1])[1]).lower() in VIDEO_EXTENSIONS:
        names.append(names[-1].removesuffix(extension))
    return names if bare or len(names) > 1 else []


@dataclass(frozen=True)
class _Dataset:
    """site: whose pages hand the annotation out. files: split -> names of its annotation file, the likeliest first."""

    title: str
    task: Task
    site: str
    files: Mapping[str, Sequence[str]]
    read: Callable[[Folder, _Dataset, str], _Read] = field(repr=False)
    split: str = "test"  # the one that the paper's tables are about
    size: int | None = None


def names() -> list[str]:
    """Benchmarks that can be read, as the command takes them."""
    return list(_DATASETS)


def read_benchmark(name: str, folder: str | os.PathLike[str], *, split: str | None = None) -> Benchmark:
    """The benchmark as the folder holds it. split: None for the one that the paper's tables are about.

    Raises ValueError for a name or split that is not known, FileNotFoundError without the folder, MissingAnnotations
    without the annotation file, UnreadableAnnotations where that is in no known form.
    """
    if name not in _DATASETS:
        raise ValueError(f"there is no benchmark {name!r}; there are {', '.join(_DATASETS)}")
    dataset = _DATASETS[name]
    split = split or dataset.split
    if split not in dataset.files:
        raise ValueError(f"{dataset.title} has no split {split!r} here, only {', '.join(dataset.files)}")
    lies_in = Folder(folder)
    read = dataset.read(lies_in, dataset, split)
    if not read.items:
        raise UnreadableAnnotations(f"{read.annotations} names no video")
    items: list[Item] = []
    missing: list[str] = []
    several = 0
    for named in read.items:
        found = next(
            ((at, paths) for at, name_of_file in enumerate(named.names) if (paths := lies_in.videos(name_of_file))),
            None,
        )
        if found is None:
            missing.append(named.video)
            continue
        at, paths = found
        several += len(paths) > 1
        start, end = (None, None) if named.span is None or at < named.whole else named.span
        items.append(Item(named.video, paths[0], named.texts, named.label, start, end))
    notes = []
    if several:
        notes.append(f"{several:,} videos lie there more than once; the one nearest to the folder's top was taken")
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
    )


# --- reading files ---------------------------------------------------------------------------------------------------


def _annotations(folder: Folder, dataset: _Dataset, split: str, *, why: str = "") -> Path:
    names_looked_for = dataset.files[split]
    path = folder.file(names_looked_for)
    if path is None:
        raise MissingAnnotations(
            f"{dataset.title} ({split}) needs its annotation file: {' or '.join(names_looked_for)}, anywhere under "
            f"{folder.root}. {why}It comes from {dataset.site}."
        )
    return path


def _text(path: Path) -> str:
    """Some of these files are older than UTF-8 was common."""
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def _lines(path: Path) -> list[tuple[int, str]]:
    """Lines that are not empty, with their numbers."""
    lines = enumerate(_text(path).split("\n"), start=1)  # splitlines would also split at odd characters of a sentence
    return [(number, line.rstrip("\r")) for number, line in lines if line.strip()]


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise UnreadableAnnotations(f"{path} is no JSON: {error}") from error


def _rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a CSV file with a header, which must have these columns."""
    reader = csv.DictReader(io.StringIO(_text(path), newline=""))
    absent = [column for column in columns if column not in (reader.fieldnames or [])]
    if absent:
        raise UnreadableAnnotations(f"{path} has no column {', '.join(absent)}; its header is {reader.fieldnames}")
    rows = list(reader)
    for number, row in enumerate(rows, start=2):
        if any(row[column] is None for column in columns):
            raise UnreadableAnnotations(f"{path}, row {number}: columns are missing")
    return rows


def _grouped(pairs: Iterable[tuple[str, str]]) -> list[_Named]:
    """Videos in the order in which they appear, each with all its texts."""
    texts: dict[str, list[str]] = {}
    for video, text in pairs:
        texts.setdefault(video, []).append(text.strip())
    return [_Named(video, (video,), tuple(of_video)) for video, of_video in texts.items()]


def _as_paragraphs(items: Iterable[_Named]) -> list[_Named]:
    """Each video's texts joined into one: paragraph-to-video retrieval."""
    return [_Named(item.video, item.names, (" ".join(item.texts),)) for item in items]


def _listed(path: Path, content: Any) -> list[_Named]:
    """The form in which retrieval papers pass splits on: [{"video": "x.mp4", "caption": "…" or ["…", …]}, …]."""
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


def _msrvtt(folder: Folder, dataset: _Dataset, split: str) -> _Read:
    """The 1k-A split of JSFusion: key,vid_key,video_id,sentence with one sentence a video; or a list in JSON."""
    path = _annotations(folder, dataset, split)
    if path.suffix == ".json":
        return _Read(path, _listed(path, _json(path)))
    rows = _rows(path, ("video_id", "sentence"))
    return _Read(path, _grouped((row["video_id"], row["sentence"]) for row in rows))


def _msrvtt_full(folder: Folder, dataset: _Dataset, split: str) -> _Read:
    """{"videos": [{"video_id", "split"}], "sentences": [{"video_id", "caption"}]}: 20 sentences a video."""
    path = _annotations(folder, dataset, split)
    content = _json(path)
    try:
        of_split = {video["video_id"] for video in content["videos"] if video["split"] == split}
        sentences = [(sentence["video_id"], sentence["caption"]) for sentence in content["sentences"]]
    except (KeyError, TypeError) as error:
        raise UnreadableAnnotations(f"{path} lacks videos or sentences in MSR-VTT's form: {error!r}") from error
    return _Read(path, _grouped(pair for pair in sentences if pair[0] in of_split))


def _lsmdc(folder: Folder, dataset: _Dataset, split: str) -> _Read:
    """Six columns without a header: clip, start and end as aligned, start and end as extracted, sentence."""
    path = _annotations(folder, dataset, split)
    if path.suffix == ".json":
        return _Read(path, _listed(path, _json(path)))
    pairs = []
    for number, line in _lines(path):
        columns = line.split("\t" if "\t" in line else "|")
        if len(columns) != 6:
            raise UnreadableAnnotations(f"{path}, line {number}: {len(columns)} columns instead of 6")
        pairs.append((columns[0].strip(), columns[5]))
    return _Read(path, _grouped(pairs))


def _didemo(folder: Folder, dataset: _Dataset, split: str) -> _Read:
    """[{"video", "description", "times", …}, …]: a video's descriptions, in the file's order, are its paragraph."""
    path = _annotations(folder, dataset, split)
    content = _json(path)
    try:
        described = [(entry["video"], entry["description"]) for entry in content if "description" in entry]
    except (KeyError, TypeError) as error:
        raise UnreadableAnnotations(f"{path} is not in DiDeMo's form: {error!r}") from error
    return _Read(path, _as_paragraphs(_grouped(described) if described else _listed(path, content)))


def _msvd(folder: Folder, dataset: _Dataset, split: str) -> _Read:
    """`AllVideoDescriptions.txt` ("clip sentence" a line, # for remarks) with a list of the split's clips; about 40
    sentences a clip, each a query of its own. Or {clip: [sentence, …]} in JSON, or a list in JSON.
    """
    why = ""
    if folder.file(["raw-captions.pkl"]) is not None:
        why = "raw-captions.pkl is not opened: a pickle can run code. "
    path = _annotations(folder, dataset, split, why=why)
    if path.name == f"msvd_ret_{split}.json":
        return _Read(path, _listed(path, _json(path)))
    clips = folder.file([f"{split}_list.txt"])
    if clips is None:
        raise MissingAnnotations(
            f"{dataset.title} needs the list of its {split} clips: {split}_list.txt, anywhere under {folder.root}. "
            f"It comes from {dataset.site}."
        )
    wanted = dict.fromkeys(_text(clips).split())
    if path.suffix == ".json":
        pairs = _sentences_by_clip(path)
    else:
        lines = [line for _, line in _lines(path) if not line.startswith("#")]
        pairs = [(clip, text) for clip, _, text in (line.partition(" ") for line in lines)]
    described = {item.video: item for item in _grouped(pair for pair in pairs if pair[0] in wanted)}
    untold = [clip for clip in wanted if clip not in described]
    if untold:
        raise UnreadableAnnotations(f"{path} describes {len(untold)} clips of {clips.name} not at all: {untold[0]}, …")
    return _Read(path, [described[clip] for clip in wanted])


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


def _activitynet(folder: Folder, dataset: _Dataset, split: str) -> _Read:
    """{"v_ID": {"duration", "timestamps", "sentences"}}: the sentences of a video are its paragraph."""
    path = _annotations(folder, dataset, split)
    content = _json(path)
    if isinstance(content, list):
        return _Read(path, _as_paragraphs(_listed(path, content)))
    items = []
    for video, told in content.items():
        sentences = told.get("sentences") if isinstance(told, dict) else None
        if not isinstance(sentences, list) or not all(isinstance(sentence, str) for sentence in sentences):
            raise UnreadableAnnotations(f"{path}: {video} has no sentences")
        paragraph = " ".join(sentence.strip() for sentence in sentences)
        # Files are named by the YouTube id, with or without the prefix.
        items.append(_Named(video, (video, video.removeprefix("v_")), (paragraph,)))
    return _Read(path, items)


# --- classification --------------------------------------------------------------------------------------------------


def _kinetics(folder: Folder, dataset: _Dataset, split: str) -> _Read:
    """label,youtube_id,time_start,time_end,split. Files `ID_000010_000020.mp4` are cut out (the CVDF's layout, and that
    of the usual downloaders); `ID.mp4` is taken for the whole video, unless it is no longer than the span.
    """
    path = _annotations(folder, dataset, split)
    rows = _rows(path, ("label", "youtube_id", "time_start", "time_end"))
    classes = tuple(sorted({row["label"].strip() for row in rows}))
    labels = {label: position for position, label in enumerate(classes)}
    items = []
    for number, row in enumerate(rows, start=2):
        try:
            start, end = float(row["time_start"]), float(row["time_end"])
        except ValueError as error:
            raise UnreadableAnnotations(f"{path}, row {number}: {error}") from error
        video = row["youtube_id"].strip()
        cut_out = (f"{video}_{start:06.0f}_{end:06.0f}", f"{video}_{start:.0f}_{end:.0f}")
        items.append(
            _Named(
                cut_out[0],
                (*cut_out, video),
                label=labels[row["label"].strip()],
                span=(start, end),
                whole=len(cut_out),
            )
        )
    return _Read(path, items, classes)


def _ucf101(folder: Folder, dataset: _Dataset, split: str) -> _Read:
    """`classInd.txt` ("1 ApplyEyeMakeup") and the first list of the split ("ApplyEyeMakeup/v_….avi", a number after it
    in train lists).
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
    names_of_classes = [columns[1] for columns in sorted(numbered, key=lambda columns: int(columns[0]))]
    labels = {name.lower(): position for position, name in enumerate(names_of_classes)}
    items = []
    for _, line in _lines(path):
        video = line.split()[0]
        # Folder and index differ in case for HandstandPushups.
        label = labels.get(video.split("/")[0].lower())
        if label is None:
            raise UnreadableAnnotations(f"{path}: {video} lies in no class of {index.name}")
        items.append(_Named(video, (video,), label=label))
    return _Read(path, items, tuple(words_of_class(name) for name in names_of_classes))


def words_of_class(name: str) -> str:
    """ApplyEyeMakeup -> Apply Eye Makeup."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)


_KINETICS_SITE = "the Kinetics pages of Google DeepMind, and the CVDF's kinetics-dataset on GitHub with the videos"


def _kinetics_files(classes: int) -> dict[str, list[str]]:
    """A name with the number of classes goes before a plain one: several versions may lie in one folder."""
    prefixes = (f"kinetics{classes}_", f"kinetics-{classes}_", f"k{classes}_", "", "kinetics_")
    spellings = {"val": ("val", "validate", "validation"), "train": ("train",), "test": ("test",)}
    return {
        split: [f"{prefix}{spelled}.csv" for prefix in prefixes for spelled in spelled_as]
        for split, spelled_as in spellings.items()
    }


_DATASETS: dict[str, _Dataset] = {
    **{
        f"kinetics{classes}": _Dataset(
            f"Kinetics-{classes}", "classification", _KINETICS_SITE, _kinetics_files(classes), _kinetics, "val", classes
        )
        for classes in (400, 600, 700)
    },
    "ucf101": _Dataset(
        "UCF-101",
        "classification",
        "the UCF101 page of the Center for Research in Computer Vision, University of Central Florida "
        "(UCF101TrainTestSplits-RecognitionTask.zip)",
        {"test": ["testlist01.txt"], "train": ["trainlist01.txt"]},
        _ucf101,
        size=101,
    ),
    "msrvtt": _Dataset(
        "MSR-VTT 1k-A",
        "retrieval",
        "the JSFusion authors' split, passed on with CLIP4Clip (msrvtt_data.zip)",
        {"test": ["MSRVTT_JSFUSION_test.csv", "msrvtt_ret_test1k.json", "msrvtt_test1k.json"]},
        _msrvtt,
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
        {"test": ["LSMDC16_challenge_1000_publictect.csv", "lsmdc_ret_test_1000.json"]},
        _lsmdc,
    ),
    "didemo": _Dataset(
        "DiDeMo",
        "retrieval",
        "LocalizingMoments on GitHub, by the authors of DiDeMo",
        {"test": ["test_data.json", "didemo_ret_test.json"], "val": ["val_data.json", "didemo_ret_val.json"]},
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
        },
        _activitynet,
        "val_1",
    ),
}
