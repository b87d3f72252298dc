"""Whether training learns: `viclip-tiny` on rendered videos of actions, tested on videos that it never saw.

    python benchmarks/learning.py                                  # the proof: one training, one verdict
    python benchmarks/learning.py --same-video masked negatives --seeds 0 1 2      # and a comparison

Twelve actions of four shapes in four colours. Zero-shot recognition is on held-out videos, whose triples of action,
shape and colour occur in training; retrieval is on one clip of each triple that never does, though its parts do. Videos
go through an encoder and a decoder before anything is learnt from them; captions come from the truth beside them. A
quarter of the captions trained on name the action alone ("Something is spinning."), as the class prompts do; retrieval
is by captions that name all three. ActionCLIP's sixteen prompts, made for humans, are scored beside."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import get_args

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in the software: threads that wait busily disturb each other

import av
import numpy as np
import torch

from internvid.evaluation.classification import chance as chance_of_classes
from internvid.evaluation.classification import class_vectors, zero_shot_accuracy
from internvid.evaluation.retrieval import retrieval_ranks, summarise
from internvid.synthetic.actions import ACTIONS, GENERAL_SENTENCES, Doing, action_videos
from internvid.synthetic.plans import VideoPlan
from internvid.synthetic.render import read_truth, render
from internvid.viclip.checkpoint import Checkpoint, load_checkpoint
from internvid.viclip.clips import InMemoryClip, InMemoryClips
from internvid.viclip.encoder import Encoder
from internvid.viclip.model import ViCLIP
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.recipe import Recipe, SameVideo
from internvid.viclip.recipes import RECIPES
from internvid.viclip.training import train

STEPS_PER_LINE = 50
GENERAL = 0.25  # share of the captions trained on that name the action alone, as the class prompts do
CHANCE = chance_of_classes(len(ACTIONS)).top_1


@dataclass(frozen=True)
class Split:
    """Clips of a split, and what is done in each."""

    clips: InMemoryClips
    doings: list[Doing]


@dataclass(frozen=True)
class Scores:
    """Shares of the clips. text_to_video, video_to_text: R@1 on unseen triples."""

    top_1: float
    top_5: float
    actionclip_top_1: float
    text_to_video: float
    video_to_text: float

    @property
    def recall(self) -> float:
        """The lower one."""
        return min(self.text_to_video, self.video_to_text)

    def __str__(self) -> str:
        return (
            f"{self.top_1:6.3f} {self.top_5:6.3f} {self.actionclip_top_1:11.3f} "
            f"{self.text_to_video:14.3f} {self.video_to_text:14.3f}"
        )


HEADER = f"{'':24s} {'top-1':>6s} {'top-5':>6s} {'ActionCLIP':>11s} {'text-to-video':>14s} {'video-to-text':>14s}"


def read_video(plan: VideoPlan, *, folder: Path, general: float) -> list[tuple[InMemoryClip, Doing]]:
    """Renders and decodes the video; a clip for each shot, captioned by what the truth beside the video says."""
    path = render(plan, folder)
    with av.open(str(path)) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    rng = np.random.default_rng(zlib.crc32(plan.name.encode()))
    clips = []
    for number, shot in enumerate(read_truth(path).shots):
        (thing,) = shot.objects
        doing = Doing(thing.action, thing.shape, thing.colour)
        shown = frames[shot.start_frame : shot.end_frame]
        caption = doing.general_caption(rng) if rng.random() < general else doing.caption(rng)
        clips.append((InMemoryClip(f"{plan.name}/{number}", plan.name, caption, shown), doing))
    return clips


def read_videos(plans: Sequence[VideoPlan], folder: Path, pool: ProcessPoolExecutor, *, general: float = 0.0) -> Split:
    """general: share of the clips whose captions name the action alone."""
    clips_by_video = pool.map(partial(read_video, folder=folder, general=general), plans, chunksize=8)
    clips = [clip for clips_of_video in clips_by_video for clip in clips_of_video]
    return Split(InMemoryClips([held for held, _ in clips]), [doing for _, doing in clips])


def score(checkpoint: Checkpoint, held_out: Split, unseen: Split) -> Scores:
    encoder = Encoder(checkpoint)
    prompts = [template.format(doing=action) for action in ACTIONS for template in GENERAL_SENTENCES]
    classes = encoder.encode_texts(prompts).reshape(len(ACTIONS), -1, encoder.width).mean(axis=1)
    labels = np.array([ACTIONS.index(doing.action) for doing in held_out.doings])
    videos = encoder.encode_clips(held_out.clips, range(len(held_out.clips)))
    ours = zero_shot_accuracy(videos, classes, labels)
    actionclip = zero_shot_accuracy(videos, class_vectors(ACTIONS, encoder.encode_texts), labels)

    everything = range(len(unseen.clips))
    ranks = retrieval_ranks(
        encoder.encode_clips(unseen.clips, everything),
        encoder.encode_texts(unseen.clips.captions(everything)),
        np.arange(len(everything)),
    )
    text_to_video, video_to_text = (summarise(way).recall[1] for way in (ranks.text_to_video, ranks.video_to_text))
    return Scores(ours.top_1, ours.top_5, actionclip.top_1, text_to_video, video_to_text)


def trained(recipe: Recipe, clips: InMemoryClips, folder: Path) -> Checkpoint:
    started = time.monotonic()

    def report(row: dict) -> None:
        if row["step"] % STEPS_PER_LINE == 0:
            print(
                f"  step {row['step']:5d} {row['phase']:9s} loss {row['loss']:.3f}  in-batch accuracy "
                f"{row['accuracy']:.2f}  {row['samples_per_second']:4.0f} clips/s  {time.monotonic() - started:4.0f} s",
                flush=True,
            )

    result = train(recipe, clips, folder=folder, initial_weights=beginning(recipe).state_dict(), log=report)
    print(f"  {result.steps} steps, {result.samples} clips in {time.monotonic() - started:.0f} s")
    return load_checkpoint(result.checkpoint)


def beginning(recipe: Recipe) -> ViCLIP:
    """Random weights, the same for training and for the untrained model beside it."""
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        return ViCLIP(recipe.model, temperature=recipe.initial_temperature)


def untrained(recipe: Recipe, like: Checkpoint) -> Checkpoint:
    """As it was before its first step, with the vocabulary that the trained one has."""
    return Checkpoint(beginning(recipe), like.tokenizer, Preprocessing.from_recipe(recipe))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="viclip-tiny", choices=RECIPES)
    parser.add_argument("--same-video", nargs="+", choices=get_args(SameVideo), help="default: as the recipe has it")
    parser.add_argument("--seeds", nargs="+", type=int, help="of training; the videos stay. Default: the recipe's")
    parser.add_argument("--epochs", type=float, help="of the first phase, for a comparison that is to take less time")
    arguments = parser.parse_args()
    recipe = RECIPES[arguments.recipe]
    if arguments.epochs is not None:
        recipe = replace(recipe, phases=(replace(recipe.phases[0], epochs=arguments.epochs), *recipe.phases[1:]))
    ways: list[SameVideo] = arguments.same_video or [recipe.same_video]
    seeds = arguments.seeds or [recipe.seed]

    started = time.monotonic()
    plans_by_split = action_videos()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
            learn = read_videos(plans_by_split.train, folder / "synthetic_videos", pool, general=GENERAL)
            held_out, unseen = (
                read_videos(plans, folder / "synthetic_videos", pool)
                for plans in (plans_by_split.held_out, plans_by_split.unseen)
            )
        print(
            f"{len(plans_by_split.train)} videos of {len(learn.clips)} clips to train on, {len(held_out.clips)} clips "
            f"held out, {len(unseen.clips)} of unseen triples; rendered and read in {time.monotonic() - started:.0f} s",
            flush=True,
        )
        by_way: dict[SameVideo, list[Scores]] = {}
        rows = []
        for way in ways:
            for seed in seeds:
                each = replace(recipe, same_video=way, seed=seed)
                print(f"{each.name}, same video: {way}, seed {seed}", flush=True)
                checkpoint = trained(each, learn.clips, folder / f"{way}_{seed}")
                before = score(untrained(each, checkpoint), held_out, unseen)
                after = score(checkpoint, held_out, unseen)
                by_way.setdefault(way, []).append(after)
                rows += [f"{f'{way}, seed {seed}':24s} {after}", f"{'  untrained':24s} {before}"]
    pairs = len(unseen.clips)
    print(f"\nZero-shot recognition of {len(ACTIONS)} actions on held-out videos; R@1 on unseen triples")
    print("\n".join([HEADER, *rows]))
    print(f"{'chance':24s} {CHANCE:6.3f} {5 * CHANCE:6.3f} {CHANCE:11.3f} {1 / pairs:14.3f} {1 / pairs:14.3f}")
    if len(seeds) > 1:
        print(f"\n{'mean ± deviation':24s} {'top-1':>15s} {'text-to-video':>15s} {'video-to-text':>15s}")
        for way, scores in by_way.items():
            print(f"{way:24s} {spread(s.top_1 for s in scores)} {spread(s.text_to_video for s in scores)} ", end="")
            print(spread(s.video_to_text for s in scores))
    top_1 = min(s.top_1 for scores in by_way.values() for s in scores)
    recall = min(s.recall for scores in by_way.values() for s in scores)
    print(f"\nat worst, top-1 is {top_1 / CHANCE:.1f} times chance, and R@1 {recall * pairs:.0f} times")
    print(f"{time.monotonic() - started:.0f} s in all")
    if top_1 < max(6 * CHANCE, 0.6) or recall < 10 / pairs:
        sys.exit("it did not learn: top-1 must be 0.6 and 6 times chance, R@1 10 times chance")


def spread(values: Iterable[float]) -> str:
    numbers = list(values)
    return f"{statistics.mean(numbers):7.3f} ± {statistics.stdev(numbers):.3f}"


if __name__ == "__main__":
    main()
