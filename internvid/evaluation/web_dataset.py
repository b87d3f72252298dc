"""Benchmarks as shards of tar files, in the layout of CLIP_benchmark, in which laion/video_benchmarks has them.

    classnames.txt            a class a line; absent for retrieval
    SPLIT/nshards.txt         number of shards
    SPLIT/0.tar, 1.tar, …     of each sample a video, and KEY.cls (number of its class) or KEY.txt (a caption a line)

Videos are unpacked beside the shards, once, under names of our own: a name in a tar file is trusted in nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from internvid.report.whole_file import whole_file

UNPACKED = "unpacked"
SAMPLES = "samples.json"  # of a shard, written when all its videos are there
MAX_TEXT_BYTES = 1 << 20  # of a class or of captions
CLASS_NAMES, SHARDS = "classnames.txt", "nshards.txt"


@dataclass(frozen=True)
class WebSample:
    """A sample of a shard. key: its name in there. file: its video, below the folder of the benchmark."""

    key: str
    file: str
    texts: list[str]
    label: int | None


def is_web_dataset(root: Path, split: str) -> bool:
    return (root / split / SHARDS).is_file()


def class_names(root: Path) -> tuple[str, ...]:
    """Returns the names of the classes in their order; none for retrieval."""
    path = root / CLASS_NAMES
    return tuple(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else ()


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
                key, _, suffix = PurePosixPath(member.name).name.partition(".")
                content = archive.extractfile(member) if member.isfile() else None
                if content is None:
                    continue
                if f".{suffix.lower()}" in extensions:
                    path = folder / f"{len(files):06}.{suffix.lower()}"
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
    rows = [asdict(WebSample(key, file, texts.get(key, []), labels.get(key))) for key, file in files.items()]
    with whole_file(folder / SAMPLES) as out:
        json.dump(rows, out)
