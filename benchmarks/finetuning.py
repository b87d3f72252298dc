"""Whether fine-tuning on rendered actions beats zero-shot, and whether the match head puts retrieval in a better order.

    python benchmarks/finetuning.py                  # three seeds, one thread, ten minutes

A small ViCLIP is trained on the videos' captions. From that checkpoint, by each seed: fine-tuning on the twelve
actions, against its zero-shot recognition by the better of two sets of prompts; and fine-tuning for retrieval, against
retrieval by the checkpoint's vectors, without and with the match head's order. All are measured on videos that no
training saw. Retrieval is of one clip of each of 48 triples of action, shape and colour that no training video has."""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # so small a model gains nothing by more

import numpy as np
import torch
from learning import GENERAL, Split, read_videos

from internvid.evaluation.classification import class_vectors, zero_shot_accuracy
from internvid.evaluation.fine_tuned import MatchTokens, TunedEncoder, head_accuracy, reranked
from internvid.evaluation.retrieval import Ranks, retrieval_ranks, summarise
from internvid.synthetic.actions import ACTIONS, GENERAL_SENTENCES, action_videos
from internvid.viclip.checkpoint import Checkpoint, load_checkpoint
from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.encoder import Encoder
from internvid.viclip.fine_tuning import fine_tune
from internvid.viclip.fine_tuning_recipe import FineTuning
from internvid.viclip.frame_choice import middle_frames
from internvid.viclip.model import ViCLIP
from internvid.viclip.recipe import Phase
from internvid.viclip.recipes.viclip_tiny import VICLIP_TINY
from internvid.viclip.tokenizer import prepare_text
from internvid.viclip.training import train

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
    frames=4,
)
TUNING = FineTuning(
    "rendered",
    "classification",
    learning_rate=1e-3,  # of so small a model; the paper's are for L/14
    epochs=1,
    frames=4,
    max_tokens=16,
    drop_path=0.0,
    batch_size=64,
    warmup_epochs=0.05,
    layer_decay=0.85,
    match_width=64,
    match_layers=1,
    crop_scale=(0.8, 1.0),  # smaller crops would cut off figures
    horizontal_flip=False,  # classes and captions tell left from right
)


class Labelled:
    """The clips of a split as fine-tuning reads them, each captioned by its whole triple."""

    def __init__(self, split: Split) -> None:
        self.clips = split.clips
        rng = np.random.default_rng(0)
        self.texts = [doing.caption(rng) for doing in split.doings]
        self.labels = np.array([ACTIONS.index(doing.action) for doing in split.doings])
        same = {doing: number for number, doing in enumerate(dict.fromkeys(split.doings))}
        # Clips of one triple are no negatives of each other.
        self.video_numbers = np.array([same[doing] for doing in split.doings], np.int64)
        self.frame_counts = split.clips.frame_counts

    def __len__(self) -> int:
        return len(self.clips)

    def clip_ids(self, positions: Sequence[int]) -> list[str]:
        return self.clips.clip_ids(positions)

    def captions(self, positions: Sequence[int]) -> list[str]:
        return [self.texts[position] for position in positions]

    def frames(self, picks: Sequence[tuple[int, Sequence[int]]]) -> list[np.ndarray]:
        return self.clips.frames(picks)


@dataclass(frozen=True)
class Recalls:
    """R@1 in both directions."""

    text_to_video: float
    video_to_text: float

    @classmethod
    def of(cls, ranks: Ranks) -> Recalls:
        return cls(*(summarise(way).recall[1] for way in (ranks.text_to_video, ranks.video_to_text)))

    @property
    def mean(self) -> float:
        return (self.text_to_video + self.video_to_text) / 2


def trained(learn: Split, folder: Path, steps: int) -> Checkpoint:
    phase = Phase("unmasked", 0.0, learning_rate=1.5e-3, epochs=0, warmup_epochs=0, batch_size=64, min_steps=steps)
    recipe = replace(VICLIP_TINY, model=MODEL, frames=MODEL.frames, phases=(phase,))
    torch.manual_seed(recipe.seed)
    beginning = ViCLIP(recipe.model, temperature=recipe.initial_temperature).state_dict()
    return load_checkpoint(train(recipe, learn.clips, folder=folder, initial_weights=beginning).checkpoint)


def zero_shot(encoder: Encoder, held_out: Split, labels: np.ndarray) -> float:
    """Returns top-1 by the better of ActionCLIP's prompts and the sentences that captions use."""
    vectors = encoder.encode_clips(held_out.clips, range(len(held_out.clips)))
    general = [template.format(doing=action) for action in ACTIONS for template in GENERAL_SENTENCES]
    of_sentences = encoder.encode_texts(general).reshape(len(ACTIONS), -1, encoder.width).mean(axis=1)
    of_actionclip = class_vectors(ACTIONS, encoder.encode_texts)
    return max(zero_shot_accuracy(vectors, classes, labels).top_1 for classes in (of_sentences, of_actionclip))


def retrieval(encoder: Encoder, unseen: Split) -> Recalls:
    everything = range(len(unseen.clips))
    video, text = (
        encoder.encode_clips(unseen.clips, everything),
        encoder.encode_texts(unseen.clips.captions(everything)),
    )
    return Recalls.of(retrieval_ranks(video, text, np.arange(len(video))))


def matched(encoder: TunedEncoder, unseen: Split) -> Recalls:
    everything = range(len(unseen.clips))
    counts = unseen.clips.frame_counts
    frames = unseen.clips.frames([(at, middle_frames(int(counts[at]), encoder.frames)) for at in everything])
    texts = [prepare_text(caption) for caption in unseen.clips.captions(everything)]
    tokens = MatchTokens(encoder.match_tokens_of_videos(frames), *encoder.match_tokens_of_texts(texts))
    video, text = encoder.encode_clips(unseen.clips, everything), encoder.encode_texts(texts, prepare=False)
    return Recalls.of(reranked(encoder, tokens, video, text, np.arange(len(video))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--first-steps", type=int, default=700, help="of the training on captions")
    parser.add_argument("--steps", type=int, default=250, help="of each fine-tuning")
    parser.add_argument("--videos", type=int, default=120, help="to train on")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    started = time.monotonic()

    def say(line: str) -> None:
        print(f"{line}  ({time.monotonic() - started:.0f} s)", flush=True)

    plans = action_videos(train=arguments.videos, held_out=24)
    with (
        tempfile.TemporaryDirectory() as temporary,
        ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool,
    ):
        folder = Path(temporary)
        learn = read_videos(plans.train, folder, pool, general=GENERAL)
        held_out, unseen = (read_videos(part, folder, pool) for part in (plans.held_out, plans.unseen))
        say(f"{len(learn.clips)} clips to train on, {len(held_out.clips)} held out, {len(unseen.clips)} to retrieve")
        base = trained(learn, folder / "base", arguments.first_steps)
        labels = Labelled(held_out).labels
        before, found_before = zero_shot(Encoder(base), held_out, labels), retrieval(Encoder(base), unseen)
        say(
            f"the checkpoint: zero-shot top-1 {before:.3f} (chance {1 / len(ACTIONS):.3f}), R@1 {found_before.mean:.3f}"
        )
        clips = Labelled(learn)
        vectors = class_vectors(ACTIONS, Encoder(base).encode_texts)
        epochs = arguments.steps * TUNING.batch_size / len(clips)
        gains: dict[str, list[float]] = {"classes": [], "retrieval": [], "match": []}
        for seed in range(arguments.seeds):
            recipe = replace(TUNING, seed=seed, epochs=epochs, warmup_epochs=epochs / 20)
            result = fine_tune(recipe, clips, base, folder=folder / f"c{seed}", classes=ACTIONS, class_vectors=vectors)
            encoder = TunedEncoder.load(result.checkpoint)
            assert isinstance(encoder, TunedEncoder)
            of_videos = encoder.encode_clips(held_out.clips, range(len(held_out.clips)))
            accuracy = head_accuracy(encoder.heads, of_videos, labels, ACTIONS)
            assert accuracy is not None
            gains["classes"].append(accuracy.top_1 - before)
            say(f"seed {seed}: fine-tuned top-1 {accuracy.top_1:.3f}, {accuracy.top_1 - before:+.3f}")
            result = fine_tune(replace(recipe, task="retrieval"), clips, base, folder=folder / f"r{seed}")
            encoder = TunedEncoder.load(result.checkpoint)
            assert isinstance(encoder, TunedEncoder)
            by_vectors, by_head = retrieval(encoder, unseen), matched(encoder, unseen)
            gains["retrieval"].append(by_vectors.mean - found_before.mean)
            gains["match"].append(by_head.mean - by_vectors.mean)
            say(
                f"seed {seed}: fine-tuned R@1 {by_vectors.mean:.3f}, with the match head {by_head.mean:.3f} (text to "
                f"video {by_vectors.text_to_video:.3f} -> {by_head.text_to_video:.3f}, video to text "
                f"{by_vectors.video_to_text:.3f} -> {by_head.video_to_text:.3f})"
            )
    for what, words in (
        ("classes", "fine-tuned top-1 minus zero-shot"),
        ("retrieval", "fine-tuned R@1 minus the checkpoint's"),
        ("match", "R@1 with the match head minus without"),
    ):
        values = gains[what]
        deviation = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f"{words}: {statistics.mean(values):+.3f} ± {deviation:.3f}, {[round(value, 3) for value in values]}")
    print(f"{time.monotonic() - started:.0f} s in all")


if __name__ == "__main__":
    main()
