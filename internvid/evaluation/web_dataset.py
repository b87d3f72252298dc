"""Benchmarks as shards of tar files, in the layout of CLIP_benchmark, in which laion/video_benchmarks has them.

    dataset_type.txt          video_classification or video_retrieval; may be absent
    classnames.txt            a class a line; absent for retrieval
    zeroshot_classification_templates.txt    sentences for classes; not used here
    SPLIT/nshards.txt         number of shards
    SPLIT/0.tar, 1.tar, …     of each sample a video, and KEY.cls (number of its class) or KEY.txt (a caption a line)

laion/video_benchmarks has such a folder for each benchmark, UCF-101 and HMDB-51 once with all videos and once with
their splits. A key is the whole name in the tar file up to the first dot, folders included. Other files of a sample,
such as KEY.json, are about its origin. Videos are unpacked beside the shards, once, under names of our own: a name in
a tar file is trusted in nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from internvid.report.whole_file import whole_file

UNPACKED = "unpacked"
SAMPLES = "unpacked.json"  # of a shard, written when all its videos are there
MAX_TEXT_BYTES = 1 << 20  # of a class or of captions
CLASS_NAMES, SHARDS = "classnames.txt", "nshards.txt"
KIND, TEMPLATES = "dataset_type.txt", "zeroshot_classification_templates.txt"

# Name of a benchmark -> its folders in a copy of laion/video_benchmarks; those with the published splits come first.
FOLDERS = {
    "kinetics400": ("kinetics400",),
    "ucf101": ("UCF-101-with-splits", "UCF-101"),
    "hmdb51": ("hmdb51-with-splits", "hmdb51"),
    "msrvtt": ("MSR-VTT",),
    "msrvtt-full": ("MSR-VTT",),
    "msvd": ("MSVD",),
}


@dataclass(frozen=True)
class WebSample:
    """A sample of a shard. key: its name in there. file: its video, below the benchmark's folder, or empty."""

    key: str
    file: str
    texts: list[str]
    label: int | None


def find_shards(folder: Path, benchmark: str, splits: Sequence[str]) -> tuple[Path, str] | None:
    """Returns the folder with the shards and the split that they are of; None where there are none.

    folder: that of the benchmark, or of a copy of laion/video_benchmarks. splits: the preferred one first.
    """
    roots = [folder, *(folder / name for name in FOLDERS.get(benchmark, ()))]
    places = ((root, split) for root in roots for split in splits)
    return next(((root, split) for root, split in places if (root / split / SHARDS).is_file()), None)


def class_names(root: Path) -> tuple[str, ...]:
    """Returns the names of the classes in their order; none for retrieval."""
    return _lines(root / CLASS_NAMES)


def kind_of_task(root: Path) -> str:
    """Returns "classification", "retrieval" or another kind that the folder says it is of; empty: it says nothing."""
    return "".join(_lines(root / KIND)).lower().removeprefix("video_")


def templates(root: Path) -> int:
    """Returns the number of sentences that the folder has for describing classes."""
    return len(_lines(root / TEMPLATES))


def _lines(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines())


def samples(root: Path, split: str, extensions: frozenset[str]) -> list[WebSample]:
    """Returns the samples of a split, in order; unpacks the shards that are not unpacked yet.

    extensions: of videos, in lower case. Raises ValueError naming a shard that is missing or damaged, and the system's
    errors where videos cannot be unpacked.
    """
    text = (root / split / SHARDS).read_text().strip()
    if not text.isdigit():
        raise ValueError(f"{root / split / SHARDS} holds {text!r}, not the number of shards")
    of_shards = []
    for number in range(int(text)):
        shard = root / split / f"{number}.tar"
        folder = root / UNPACKED / split / str(number)
        if not (folder / SAMPLES).exists():
            if not shard.is_file():
                raise ValueError(f"{shard} is missing: {SHARDS} says that there are {text} shards")
            _unpack(shard, folder, root, extensions)
        of_shards += [WebSample(**each) for each in json.loads((folder / SAMPLES).read_text(encoding="utf-8"))]
    return of_shards


def _unpack(shard: Path, folder: Path, root: Path, extensions: frozenset[str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # what an interrupted unpacking left
    folder.mkdir(parents=True)
    files: dict[str, str] = {}
    texts: dict[str, list[str]] = {}
    labels: dict[str, int] = {}
    try:
        with tarfile.open(shard) as archive:
            for member in archive:
                path_in_shard = PurePosixPath(member.name)
                stem, _, suffix = path_in_shard.name.partition(".")
                key, suffix = (path_in_shard.parent / stem).as_posix(), suffix.lower()
                content = archive.extractfile(member) if member.isfile() else None
                if content is None:
                    continue
                if f".{suffix}" in extensions:
                    path = folder / f"{len(files):06}.{suffix}"
                    with path.open("wb") as file:
                        shutil.copyfileobj(content, file)
                    files[key] = os.fspath(path.relative_to(root))
                elif suffix == "cls":
                    labels[key] = int(content.read(MAX_TEXT_BYTES))
                elif suffix == "txt":
                    lines = content.read(MAX_TEXT_BYTES).decode("utf-8").splitlines()
                    texts[key] = [line.strip() for line in lines if line.strip()]
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise ValueError(f"{shard} is damaged: {error}") from error
    keys = dict.fromkeys([*files, *texts, *labels])
    rows = [asdict(WebSample(key, files.get(key, ""), texts.get(key, []), labels.get(key))) for key in keys]
    with whole_file(folder / SAMPLES) as out:
        json.dump(rows, out)
