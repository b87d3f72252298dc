"""Whether a generator gets better by training on the better half: AES-like selection against all, three seeds.

    python benchmarks/generation_selection.py [--steps 300] [--videos 1500] [--seeds 3]

The videos are those of generation_tiny.py, of which every other one is filmed badly: dark and blurred. The lake's own
score of aesthetics, `internvid.scores.measured`, is asked of four frames of each, and the better half is selected,
whatever it holds. `t2v-tiny` is trained on all and on the selected, for the same number of steps with the same seed,
and asked for held-out captions. Compared with well-filmed videos: the share of samples that show what was asked for,
and the Fréchet distance in the embedded classifier's features. The difference is printed as it is, with its spread over
the seeds.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait busily disturb other processes

import cv2
import numpy as np
from generation_tiny import PROPERTIES, VIDEOS_COMPARED, FrechetDistances, drawn, samples_of, scores, squashed

from internvid.generation.checkpoint import load_generator
from internvid.generation.recipe import T2V_TINY, Sampling
from internvid.generation.training import train_generator
from internvid.scores import measured
from internvid.synthetic.motions import motion_of, motion_videos
from internvid.viclip.clips import InMemoryClip, InMemoryClips

SCORED_FRAMES = 4
SAMPLES_OF_A_CAPTION = 2
FRECHET = "Fréchet distance"


def filmed_badly(video: np.ndarray) -> np.ndarray:
    return np.stack([(cv2.blur(frame, (5, 5)) * 0.45).astype(np.uint8) for frame in video])


def aesthetics(video: np.ndarray) -> float:
    chosen = np.linspace(0, len(video) - 1, SCORED_FRAMES).astype(int)
    return float(np.mean(measured.scores([video[at] for at in chosen])))


def made_by(
    clips: Sequence[InMemoryClip], steps: int, seed: int, prompts: Sequence[str], seeds: Sequence[int]
) -> list[np.ndarray]:
    """Returns the videos that a generator makes which was trained on the clips."""
    phase = replace(T2V_TINY.denoiser, epochs=1e-6, warmup_epochs=0, min_steps=steps)
    recipe = replace(T2V_TINY, denoiser=phase, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        result = train_generator(recipe, InMemoryClips(list(clips)), folder=Path(folder))
        return samples_of(load_generator(result.checkpoint), prompts, seeds, Sampling(guidance=2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--videos", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    planned = motion_videos(train=given.videos)
    well = [drawn(plan) for plan in planned.train]
    shown = [filmed_badly(video) if number % 2 else video for number, video in enumerate(well)]
    clips = [
        InMemoryClip(plan.name, plan.name, motion_of(plan).caption, video)
        for plan, video in zip(planned.train, shown, strict=True)
    ]
    better = np.argsort([-aesthetics(video) for video in shown], kind="stable")[: len(clips) // 2]
    print(f"selected {len(better):,} of {len(clips):,} videos; {np.mean(better % 2 == 0):.3f} of them are filmed well")

    wanted = [motion for motion in planned.held_out for _ in range(SAMPLES_OF_A_CAPTION)]
    prompts, sample_seeds = [motion.caption for motion in wanted], list(range(len(wanted)))
    compared = [squashed(video[1::2], T2V_TINY.image_size) for video in well[:VIDEOS_COMPARED]]
    distances = FrechetDistances(compared, viclip=None)
    subsets = {"all": clips, "selected": [clips[at] for at in sorted(better)]}
    figures: dict[str, list[list[float]]] = {name: [] for name in subsets}
    names = (*PROPERTIES, FRECHET)
    print(f"{given.steps} steps each  " + " ".join(f"{name:>18s}" for name in names))
    for seed in range(given.seeds):
        for name, subset in subsets.items():
            began = time.process_time()
            videos = made_by(subset, given.steps, seed, prompts, sample_seeds)
            shares = scores(wanted, videos)
            figures[name].append([*(shares[each] for each in PROPERTIES), distances.of(videos)])
            row = " ".join(f"{value:18.3f}" for value in figures[name][-1])
            print(f"{name:9s} seed {seed} {row}  {time.process_time() - began:.0f} s of cores", flush=True)
    differences = np.array(figures["selected"]) - np.array(figures["all"])
    for number, name in enumerate(names):
        each = differences[:, number]
        print(f"selected minus all, {name}: {each.mean():+.3f} (from {each.min():+.3f} to {each.max():+.3f})")


if __name__ == "__main__":
    main()
