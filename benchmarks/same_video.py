"""Whether clips of one video as each other's negatives harm training, where their captions are near equal.

    python benchmarks/same_video.py                      # ten seeds, one thread, about a quarter of an hour
    python benchmarks/same_video.py --doings 8           # the same where each clip of a video shows something else

The paper suspects that this is why ten million filtered clips beat two hundred million. Each video has eight clips, all
of one figure in one action, captioned in other words each time. A small model is trained on half of the 192 videos
until it retrieves, as the paper begins with CLIP; from there, three ways to train it on, on the same clips of other
videos and for as many steps:

    together   a batch is all clips of six videos, and they are negatives of each other, as in the published loss
    masked     the same batches, but clips of one video are no negatives of each other
    apart      a batch is a clip of each of 48 videos

masked minus together is what the negatives alone do; apart minus together is what drawing few clips of a video does,
as the subset DIV draws. Each seed draws 48 of the 96 other videos, and has orders, frames and crops of its own. What is
measured is retrieval of one new clip of each of the 192 triples of action, shape and colour, in both directions. The
interval is a bootstrap over the differences by seed, and p is that of all changes of their signs.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # so small a model gains nothing by more

import numpy as np
import torch
from learning import Split, read_videos

from internvid.data import Rows
from internvid.evaluation.retrieval import retrieval_ranks
from internvid.synthetic.actions import ACTIONS, COLOURS, SHAPES, SHOTS_PER_VIDEO, Doing, videos_of_doings
from internvid.viclip.checkpoint import Checkpoint
from internvid.viclip.clips import InMemoryClips
from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.encoder import Encoder
from internvid.viclip.model import ViCLIP
from internvid.viclip.optimisation import adamw, learning_rate, set_learning_rate
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.ranks import Ranks
from internvid.viclip.recipe import Phase, Recipe, SameVideo
from internvid.viclip.recipes.viclip_tiny import VICLIP_TINY
from internvid.viclip.samples import Samples
from internvid.viclip.sampling import Batch, batches_apart, phase_plans
from internvid.viclip.step import TrainingStep
from internvid.viclip.tokenizer import Tokenizer, prepare_text

TRIPLES = [Doing(action, shape, colour) for action in ACTIONS for shape in SHAPES for colour in COLOURS]
HALF, VIDEOS = 96, 48  # of the videos: trained on at the beginning; by a seed
FIRST_BATCH, BATCH = 64, 48  # clips
MODEL = ViCLIPConfig(
    image_size=32,
    patch_size=8,
    vision_width=64,
    vision_layers=2,
    vision_heads=2,
    text_width=64,
    text_layers=1,
    text_heads=2,
    embed_dim=64,
    vocab_size=640,
    context_length=16,
    frames=2,
)
# Way -> whether a batch has all clips of few videos, and what the loss makes of them.
WAYS: dict[str, tuple[bool, SameVideo]] = {
    "together": (True, "negatives"),
    "masked": (True, "masked"),
    "apart": (False, "negatives"),
}
RESAMPLES, CONFIDENCE = 20_000, 0.95


@dataclass(frozen=True)
class Scores:
    """Shares of the clips, and the mean of one over the rank; all means of both directions."""

    recall_at_1: float
    recall_at_5: float
    reciprocal_rank: float

    def __str__(self) -> str:
        return f"R@1 {self.recall_at_1:.3f}  R@5 {self.recall_at_5:.3f}  1/rank {self.reciprocal_rank:.3f}"


def recipe_of(seed: int, steps: int, same_video: SameVideo, *, batch: int, learning_rate: float) -> Recipe:
    phase = Phase(
        name="unmasked",
        mask_ratio=0.0,  # of so few tokens none is too many
        learning_rate=learning_rate,
        epochs=0,
        warmup_epochs=0,
        batch_size=batch,
        min_steps=steps,
    )
    return replace(VICLIP_TINY, model=MODEL, frames=MODEL.frames, phases=(phase,), seed=seed, same_video=same_video)


def videos(doings_per_video: int, folder: Path, pool: ProcessPoolExecutor) -> tuple[Split, Split]:
    """Renders a video for each triple, of which each seed trains on half, and another clip of each to test with."""
    order = np.random.default_rng(4).permutation(len(TRIPLES))
    step = len(TRIPLES) // doings_per_video
    shown = {
        f"train_{number:03d}": [TRIPLES[order[(number + step * at) % len(TRIPLES)]] for at in range(doings_per_video)]
        * (SHOTS_PER_VIDEO // doings_per_video)
        for number in range(len(TRIPLES))
    }
    tested = {
        f"test_{start:03d}": [TRIPLES[place] for place in order[start : start + SHOTS_PER_VIDEO]]
        for start in range(0, len(order), SHOTS_PER_VIDEO)
    }
    learn, held_out = (
        read_videos(videos_of_doings(shots, seed=seed), folder, pool)  # captions of both name the whole triple
        for seed, shots in enumerate((shown, tested))
    )
    return learn, held_out


def of_videos(learn: Split, numbers: np.ndarray) -> Split:
    """Returns the clips of these videos."""
    positions = np.flatnonzero(np.isin(learn.clips.video_numbers, numbers)).tolist()
    clips = InMemoryClips([learn.clips.clips[position] for position in positions])
    return Split(clips, [learn.doings[position] for position in positions])


def batches(video_numbers: np.ndarray, *, together: bool, seed: int, batch: int) -> Iterator[np.ndarray]:
    """Yields positions, [batch] int64, for ever; each clip once an epoch."""
    clips_of_video = np.argsort(video_numbers, kind="stable").reshape(-1, SHOTS_PER_VIDEO)
    for epoch in itertools.count():
        rng = np.random.default_rng([seed, 5, epoch])
        if together:
            yield from clips_of_video[rng.permutation(len(clips_of_video))].reshape(-1, batch)
        else:
            yield from batches_apart(video_numbers, len(video_numbers) // batch, batch, rng)


def trained(model: ViCLIP, recipe: Recipe, learn: Split, tokenizer: Tokenizer, *, together: bool) -> Checkpoint:
    """Trains the model by the recipe's one phase, with a warm-up."""
    (plan,) = phase_plans(recipe.phases, clips=len(learn.clips))
    plan = replace(plan, warmup_steps=plan.steps // 20)
    samples = Samples(learn.clips, recipe, tokenizer)
    step = TrainingStep(recipe, model.train(), Ranks(0, 1), torch.device("cpu"), learn.clips.video_numbers)
    optimiser = adamw(model, recipe)
    order = batches(learn.clips.video_numbers, together=together, seed=recipe.seed, batch=plan.batch_size)
    for number, positions in enumerate(itertools.islice(order, plan.steps)):
        batch = Batch(number, plan, positions)
        slice_ = samples.load(Rows(batch, 0, positions))
        set_learning_rate(optimiser, learning_rate(plan, number))
        step.gradients(batch, [slice_], step.uploads.begin(slice_), "nothing")
        optimiser.step()
    return Checkpoint(model.eval(), tokenizer, Preprocessing.from_recipe(recipe))


def score(checkpoint: Checkpoint, held_out: Split) -> Scores:
    encoder, everything = Encoder(checkpoint), range(len(held_out.clips))
    ranks = retrieval_ranks(
        encoder.encode_clips(held_out.clips, everything),
        encoder.encode_texts(held_out.clips.captions(everything)),
        np.arange(len(everything)),
    )
    both = np.concatenate([ranks.text_to_video, ranks.video_to_text])
    return Scores(float((both <= 1).mean()), float((both <= 5).mean()), float((1 / both).mean()))


def effect(differences: Sequence[float]) -> str:
    """Returns the mean difference with its interval, and the share of sign changes that give so large a mean."""
    values = np.array(differences)
    rng = np.random.default_rng(0)
    means = rng.choice(values, (RESAMPLES, len(values))).mean(1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    signs = np.array(list(itertools.product((1, -1), repeat=len(values))))
    p = float((np.abs(signs @ values) >= abs(values.sum()) - 1e-12).mean())
    positive = int((values > 0).sum())
    return (
        f"{values.mean():+.3f} ({CONFIDENCE:.0%} interval {low:+.3f} to {high:+.3f}), positive in {positive} of "
        f"{len(values)} seeds, p = {p:.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds")
    parser.add_argument("--first-steps", type=int, default=900, help="of the common beginning")
    parser.add_argument("--steps", type=int, default=150, help="of each training after it")
    parser.add_argument("--doings", type=int, default=1, choices=(1, 2, 4, 8), help="different ones in a video")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    started = time.monotonic()
    by_way: dict[str, list[Scores]] = {way: [] for way in WAYS}
    with (
        tempfile.TemporaryDirectory() as temporary,
        ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool,
    ):
        learn, held_out = videos(arguments.doings, Path(temporary), pool)
        print(f"{len(learn.clips)} clips rendered and read in {time.monotonic() - started:.0f} s", flush=True)
        captions = [prepare_text(caption) for caption in learn.clips.captions(range(len(learn.clips)))]
        tokenizer = Tokenizer.trained_on(captions, vocab_size=MODEL.vocab_size, context_length=MODEL.context_length)
        order = np.random.default_rng(6).permutation(len(TRIPLES))
        torch.manual_seed(0)
        first = recipe_of(0, arguments.first_steps, "negatives", batch=FIRST_BATCH, learning_rate=1.5e-3)
        beginning = ViCLIP(MODEL, temperature=first.initial_temperature)
        begun = score(trained(beginning, first, of_videos(learn, order[:HALF]), tokenizer, together=False), held_out)
        print(f"beginning          {begun}  {time.monotonic() - started:4.0f} s", flush=True)
        for seed in range(arguments.seeds):
            numbers = np.random.default_rng([seed, 7]).permutation(order[HALF:])[:VIDEOS]
            of_seed = of_videos(learn, numbers)
            for way, (together, same_video) in WAYS.items():
                recipe = recipe_of(seed, arguments.steps, same_video, batch=BATCH, learning_rate=5e-4)
                checkpoint = trained(copy.deepcopy(beginning), recipe, of_seed, tokenizer, together=together)
                by_way[way].append(score(checkpoint, held_out))
                print(f"seed {seed}  {way:9s} {by_way[way][-1]}  {time.monotonic() - started:4.0f} s", flush=True)
    print(f"\n{arguments.doings} doings a video, {arguments.steps} steps; chance R@1 {1 / len(TRIPLES):.3f}")
    for way, scores in by_way.items():
        means = [np.mean([getattr(each, name) for each in scores]) for name in ("recall_at_1", "reciprocal_rank")]
        print(f"{way:9s} R@1 {means[0]:.3f}  1/rank {means[1]:.3f}")
    for name in ("recall_at_1", "reciprocal_rank"):
        values = {way: np.array([getattr(each, name) for each in scores]) for way, scores in by_way.items()}
        print(f"{name}: masked - together {effect(values['masked'] - values['together'])}")
        print(f"{name}: apart - together  {effect(values['apart'] - values['together'])}")
    print(f"{time.monotonic() - started:.0f} s in all")


if __name__ == "__main__":
    main()
