"""The prompts of the paper's evaluation of generated videos: classes of UCF-101, captions of MSR-VTT."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass

from internvid.evaluation.benchmarks import read_benchmark

PER_CLASS = 20  # videos of each of UCF-101's 101 classes: 2,020
# Our name of the evaluation -> the benchmark whose videos are the real ones.
BENCHMARKS = {"ucf101": "ucf101", "msrvtt": "msrvtt-full"}
SEED = 42  # of the caption that is drawn of each video


@dataclass(frozen=True)
class Prompt:
    """video: name of the video that is to be generated. prompt: what it is to show."""

    video: str
    prompt: str


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
