"""Whether a model learns to draw videos from text: `t2v-tiny` on rendered videos, asked for what it never saw.

    python benchmarks/generation_tiny.py                           # trains, samples, judges
    python benchmarks/generation_tiny.py --sheet samples.png       # and a picture of all samples

A video shows one figure in one of four shapes and colours that moves to one of four sides. A quarter of the 64 triples
is held out, and samples are asked for exactly these, by their captions. The judge reads colour, shape and side off the
pixels (`internvid.synthetic.recognition`); beside the samples it judges drawn videos of the same triples, before and
after the autoencoder: what a perfect denoiser could reach. `untrained` is the same network with random weights; what it
draws may show nothing, which counts as wrong.

Over training, samples are also set beside drawn videos by a Fréchet distance: in the features of a ViCLIP, where a
checkpoint of one is given (`--viclip`), else of the embedded classifier. It is no FVD, and comparable within a run."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait busily disturb other processes

import cv2
import numpy as np
import torch

from internvid.generation.checkpoint import Generator, load_generator, new_generator
from internvid.generation.metrics.features import ClassifierVectors, VideoVectors
from internvid.generation.metrics.measure import FrechetMeter
from internvid.generation.recipe import T2V_TINY, GenerationRecipe, Sampling
from internvid.generation.sampling import sampled
from internvid.generation.training import checkpoint_at, generation_plan, train_generator
from internvid.synthetic.motions import DIRECTIONS, Motion, motion_of, motion_videos
from internvid.synthetic.pictures import pictures
from internvid.synthetic.plans import VideoPlan
from internvid.synthetic.recognition import recognised
from internvid.viclip.checkpoint import load_checkpoint
from internvid.viclip.clips import InMemoryClip, InMemoryClips
from internvid.viclip.encoder import Encoder

PROPERTIES = ("colour", "shape", "direction")
CHANCE = 1 / len(DIRECTIONS)  # of each: there are four
MIN_TIMES_CHANCE = 3
SECONDS_PER_LINE = 20
PARTS_MEASURED = (0.25, 0.5)  # of all steps, beside the end
VIDEOS_COMPARED = 128  # drawn ones, of the training, with which samples are compared
CLASSIFIED_FRAMES = slice(0, None, 5)  # of a video: more cost more than all else


def drawn(plan: VideoPlan) -> np.ndarray:
    return np.stack([picture.copy() for picture in pictures(plan)])


def squashed(video: np.ndarray, side: int) -> np.ndarray:
    return np.stack([cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA) for frame in video])


def scores(wanted: Sequence[Motion], videos: Sequence[np.ndarray]) -> dict[str, float]:
    """Returns the share of videos of which each property, and all, are as wanted."""
    shown = [recognised(video) for video in videos]
    right = {
        name: [getattr(want, name) == getattr(show, name) for want, show in zip(wanted, shown, strict=True)]
        for name in PROPERTIES
    }
    right["all three"] = [want == show for want, show in zip(wanted, shown, strict=True)]
    return {name: float(np.mean(values)) for name, values in right.items()}


def reconstructed(generator: Generator, videos: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Returns the videos after the autoencoder."""
    pixels = [torch.from_numpy(video).permute(0, 3, 1, 2) for video in videos]
    return [generator.decoded(generator.encoded(video)).permute(0, 2, 3, 1).numpy() for video in pixels]


def samples_of(generator: Generator, prompts: Sequence[str], seeds: Sequence[int], how: Sampling) -> list[np.ndarray]:
    videos: list[np.ndarray] = []
    for first in range(0, len(prompts), 16):
        videos += list(sampled(generator, prompts[first : first + 16], seeds[first : first + 16], how))
    return videos


def write_sheet(path: Path, videos: Sequence[np.ndarray], *, scale: int = 3) -> None:
    """Writes every other frame of each video, a line for each."""
    lines = [np.concatenate(list(video[::2]), axis=1) for video in videos]
    sheet = cv2.resize(np.concatenate(lines), None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(path), sheet[..., ::-1])


class FrechetDistances:
    """Distances of sets of videos from the same drawn ones, in one kind of features."""

    def __init__(self, real: Sequence[np.ndarray], viclip: Path | None) -> None:
        self.real = real
        if viclip is not None:
            self.name = "viclip features of videos"
            self.features = VideoVectors(Encoder(load_checkpoint(viclip)), str(viclip)).features
            return
        classifier = ClassifierVectors()
        self.name = "classifier features of frames"
        self.features = lambda videos: classifier.features([video[CLASSIFIED_FRAMES] for video in videos])

    def of(self, videos: Sequence[np.ndarray]) -> float:
        meter = FrechetMeter(self.name, self.features, of="videos", preparation="")
        meter.add(videos, [None] * len(videos))
        meter.add_real(self.real)
        return meter.figure().value


def steps_measured(recipe: GenerationRecipe, clips: int) -> list[int]:
    steps = generation_plan(recipe, clips).steps
    return [max(1, round(steps * part)) for part in PARTS_MEASURED]


def trained(recipe: GenerationRecipe, clips: InMemoryClips, folder: Path) -> Generator:
    began = last = time.monotonic()
    computed = time.process_time()

    def report(row: dict) -> None:
        nonlocal last
        if time.monotonic() - last > SECONDS_PER_LINE:
            last = time.monotonic()
            print(
                f"  step {row['step']:5d} loss {row['loss']:.4f}  "
                f"{row['samples_per_second']:4.0f} clips/s  {last - began:4.0f} s",
                flush=True,
            )

    result = train_generator(
        recipe,
        clips,
        folder=folder,
        log=report,
        note=lambda line: print(" ", line, flush=True),
        checkpoints_at=steps_measured(recipe, len(clips)),
    )
    seconds, of_cores = time.monotonic() - began, time.process_time() - computed
    print(f"  {result.steps} steps in {seconds:.0f} s ({of_cores:.0f} s of cores), loss {result.loss:.4f}", flush=True)
    return load_generator(result.checkpoint)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=1500, help="to train on")
    parser.add_argument("--seeds", type=int, default=4, help="samples of each of the 16 held-out captions")
    parser.add_argument("--training-seed", type=int, default=T2V_TINY.seed)
    parser.add_argument("--epochs", type=float, help="of the denoiser. Default: the recipe's")
    parser.add_argument("--denoiser-calls", type=int, default=Sampling.denoiser_calls, help="of a sample")
    parser.add_argument("--guidance", nargs="+", type=float, default=[Sampling.guidance])
    parser.add_argument("--folder", type=Path, help="keep everything there, and use what it holds")
    parser.add_argument("--viclip", type=Path, help="a checkpoint whose features are compared")
    parser.add_argument("--sheet", type=Path, help="a PNG file for the samples of each caption's first seed")
    arguments = parser.parse_args()
    recipe = replace(T2V_TINY, seed=arguments.training_seed)
    if arguments.epochs is not None:
        recipe = replace(recipe, denoiser=replace(recipe.denoiser, epochs=arguments.epochs))

    started = time.monotonic()
    planned = motion_videos(train=arguments.videos)
    clips = InMemoryClips(
        [InMemoryClip(plan.name, plan.name, motion_of(plan).caption, drawn(plan)) for plan in planned.train]
    )
    print(f"{len(clips)} videos drawn in {time.monotonic() - started:.0f} s; {recipe.version}", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)) / recipe.version
        began = time.monotonic()
        generator = trained(recipe, clips, folder)
        training_seconds = time.monotonic() - began
        untrained = new_generator(recipe, clips.captions(range(len(clips)))).eval()
        untrained.autoencoder.load_state_dict(generator.autoencoder.state_dict())
        earlier = {steps: load_generator(checkpoint_at(folder, steps)) for steps in steps_measured(recipe, len(clips))}

    wanted = [motion for motion in planned.held_out for _ in range(arguments.seeds)]
    prompts, seeds = [motion.caption for motion in wanted], list(range(len(wanted)))
    real = [squashed(drawn(plan), recipe.image_size) for plan in planned.held_out_videos]
    rows = {
        "drawn by the renderer": scores(planned.held_out, real),
        "and through the autoencoder": scores(planned.held_out, reconstructed(generator, real)),
    }
    first = Sampling(arguments.denoiser_calls, arguments.guidance[0])
    of_untrained = samples_of(untrained, prompts, seeds, first)
    rows["untrained"] = scores(wanted, of_untrained)
    compared = [squashed(clip.frames[1::2], recipe.image_size) for clip in clips.clips[:VIDEOS_COMPARED]]
    distances = FrechetDistances(compared, arguments.viclip)
    falling = {"drawn": distances.of(real), "untrained": distances.of(of_untrained)}
    for steps, generator_then in earlier.items():
        videos = samples_of(generator_then, prompts, seeds, first)
        rows[f"after {steps} steps"] = scores(wanted, videos)
        falling[f"after {steps} steps"] = distances.of(videos)
    for guidance in arguments.guidance:
        how = Sampling(arguments.denoiser_calls, guidance)
        began = time.monotonic()
        videos = samples_of(generator, prompts, seeds, how)
        rows[how.version] = scores(wanted, videos)
        print(f"  {len(videos)} samples in {time.monotonic() - began:.0f} s, {how.version}", flush=True)
        if how == first:
            falling["trained"] = distances.of(videos)
            if arguments.sheet is not None:
                write_sheet(arguments.sheet, videos[:: arguments.seeds])
    print(f"\nShare of {len(wanted)} samples of 16 held-out captions that show what was asked for")
    print(f"{'':28s} " + " ".join(f"{name:>10s}" for name in (*PROPERTIES, "all three")))
    for name, values in rows.items():
        print(f"{name:28s} " + " ".join(f"{value:10.3f}" for value in values.values()))
    print(f"{'chance':28s} " + " ".join(f"{value:10.3f}" for value in (*[CHANCE] * 3, CHANCE**3)))
    print(f"Fréchet distance from {len(compared)} drawn videos, {distances.name}:")
    print("  " + ", ".join(f"{name} {value:.4g}" for name, value in falling.items()))
    print(f"training {training_seconds:.0f} s, {time.monotonic() - started:.0f} s in all")
    missed = [name for name in PROPERTIES if rows[first.version][name] < MIN_TIMES_CHANCE * CHANCE]
    if missed:
        sys.exit(f"not {MIN_TIMES_CHANCE} times chance: {', '.join(missed)}")


if __name__ == "__main__":
    main()
