"""Prompts of videos to generate: of a file, and of the paper's evaluation (classes of UCF-101, captions of MSR-VTT)."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from internvid.evaluation.benchmarks import read_benchmark

PER_CLASS = 20  # videos of each of UCF-101's 101 classes: 2,020
# Our name of the evaluation -> the benchmark whose videos are the real ones.
BENCHMARKS = {"ucf101": "ucf101", "msrvtt": "msrvtt-full"}
SEED = 42  # of the caption that is drawn of each video
MAX_NAME_CHARACTERS = 60  # of a file's name that is made of a prompt
MAX_SEED = 2**63 - 1
FIELDS = ("video", "prompt", "seed")


@dataclass(frozen=True)
class Prompt:
    """video: name of the video that is to be generated. prompt: what it is to show."""

    video: str
    prompt: str


@dataclass(frozen=True)
class Request:
    """A video to be made. video: path of its file within the folder, without suffix. seed: of its noise."""

    video: str
    prompt: str
    seed: int


def requests(prompts: Sequence[str], seeds: Sequence[int]) -> list[Request]:
    """Returns a request of each prompt with each seed; the file is named by both. Equal ones are made once."""
    return list(dict.fromkeys(Request(f"{_name(prompt)}-{seed}", prompt, seed) for prompt in prompts for seed in seeds))


def requests_in(path: Path, seeds: Sequence[int] | None) -> list[Request]:
    """Returns the requests of a file of prompts.

    A text file has a prompt in each line. One with the suffix .jsonl has an object in each line: `prompt`, and where
    they are given `video`, the file's name, and `seed`. seeds: of all prompts, each a video of its own; None: of a line
    without a seed its number in the file, from 0, so that equal prompts give different videos.
    Raises ValueError, naming the line, for anything else: an empty prompt, a name that is no file in the folder or is
    there twice, no prompt at all; and OSError for a file that cannot be read.
    """
    made: dict[str, Request] = {}
    for number, line, request in _lines(path):
        given = [request.seed] if request.seed >= 0 else [number] if seeds is None else list(seeds)
        if request.seed >= 0 and seeds is not None:
            raise ValueError(f"{path}, line {line}: it has a seed of its own, so give none for all")
        for seed in given:
            name = request.video or _name(request.prompt)
            name = name if request.video and len(given) == 1 else f"{name}-{seed}"
            named = replace(request, video=name, seed=seed)
            if made.setdefault(name, named) != named:
                raise ValueError(
                    f"{path}, line {line}: {name} is the name of two videos: name them by `video`, in a file of .jsonl"
                )
    if not made:
        raise ValueError(f"{path} has no prompt")
    return list(made.values())


def _lines(path: Path) -> Iterator[tuple[int, int, Request]]:
    """Yields the number of the prompt, from 0, that of its line, from 1, and the request; seed: -1 where none is given.

    Empty lines are passed over.
    """
    is_json = path.suffix == ".jsonl"
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8 text: {error}") from error
    filled = [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]
    for order, (number, line) in enumerate(filled):
        try:
            yield order, number, _of_json(line) if is_json else Request("", line, -1)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error


def _of_json(line: str) -> Request:
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error}") from error
    if not isinstance(values, dict) or not set(values) <= set(FIELDS) or "prompt" not in values:
        raise ValueError(f"it is no object of prompt, and perhaps video and seed: {line[:100]}")
    video, prompt, seed = values.get("video") or "", values["prompt"], values.get("seed", -1)
    if not isinstance(prompt, str) or not prompt.strip():
        raise ValueError("the prompt is no text, or empty")
    if "seed" in values and (type(seed) is not int or not 0 <= seed <= MAX_SEED):
        raise ValueError(f"the seed {seed!r} is no whole number from 0 on")
    if not isinstance(video, str) or not _is_inside(video):
        raise ValueError(f"{video!r} is no name of a file within the folder")
    return Request(video.removesuffix(".mp4"), prompt, seed)


def _is_inside(video: str) -> bool:
    """Says whether the name stays within the folder, and is one that file systems take."""
    path = PurePosixPath(video)
    parts = video.split("/") if video else []
    return (
        not path.is_absolute()
        and "\0" not in video
        and all(part not in ("", ".", "..") and len(part.encode()) <= 250 for part in parts)
    )


def _name(prompt: str) -> str:
    """Returns the prompt as a part of a file's name."""
    return re.sub(r"[^\w]+", "-", prompt.lower()).strip("-")[:MAX_NAME_CHARACTERS] or "video"


def prompts_of(name: str, folder: str | os.PathLike[str]) -> list[Prompt]:
    """Returns the prompts, in a fixed order. name: `ucf101` or `msrvtt`. folder: as `read_benchmark` takes it.

    Of UCF-101 the name of each class, 20 times; of MSR-VTT one caption of each test video that is in the folder, drawn
    by a fixed seed.
    Raises as `read_benchmark` does, and ValueError for another name.
    """
    if name not in BENCHMARKS:
        raise ValueError(f"there are no prompts of {name!r}, but of {', '.join(BENCHMARKS)}")
    benchmark = read_benchmark(BENCHMARKS[name], folder)
    if benchmark.classes:
        return [
            Prompt(f"{number:03}-{of_class:02}", words)
            for number, words in enumerate(benchmark.classes)
            for of_class in range(PER_CLASS)
        ]
    # A video's draw does not depend on which others are there.
    return [Prompt(item.video, random.Random(f"{SEED} {item.video}").choice(item.texts)) for item in benchmark.items]
