"""Whether a model learns to talk about videos: `chat-tiny` on rendered videos, asked about videos that it never saw.

    python benchmarks/chat_tiny.py                      # ViCLIP on captions, then the chat, then a blind chat
    python benchmarks/chat_tiny.py --seeds 0 1 2        # and the spread over seeds

A video has two to four shots of one figure each, in four shapes and colours, that moves to one of four sides. Videos go
through an encoder and a decoder first. Questions and answers come from the truth beside the videos: which object, what
colour, which way, what comes first and last, is there a …, how many shots, and about things that are not there. An
answer counts as right if its text is the expected one, word for word; the clips that it names are scored beside it.

The blind chat is trained in the same way on the same prompts without the video's tokens. `most frequent` gives the
most frequent answer of the training videos to each kind of question."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait busily disturb other processes

import av
import numpy as np

from internvid.dialogue.answering import Answerer
from internvid.dialogue.checkpoint import load_chat
from internvid.dialogue.prompt import AskedTurn, ShownClip, VideoDialogue
from internvid.dialogue.recipe import CHAT_TINY, ChatRecipe
from internvid.dialogue.training import train_chat
from internvid.synthetic.plans import VideoPlan
from internvid.synthetic.questions import KINDS, Question, caption_of, question_videos, questions_about
from internvid.synthetic.render import read_truth, render
from internvid.viclip.checkpoint import Checkpoint, load_checkpoint
from internvid.viclip.clips import InMemoryClip, InMemoryClips
from internvid.viclip.recipe import Recipe
from internvid.viclip.recipes import RECIPES
from internvid.viclip.training import train

MIN_RIGHT, MAX_BLIND, MIN_SAYS_ABSENT = 0.8, 0.45, 0.8
STEPS_PER_LINE = 50


@dataclass(frozen=True)
class AskedVideo:
    """A video's clips, their spans in seconds, and the questions about it."""

    clips: list[InMemoryClip]
    spans: list[tuple[float, float]]
    questions: list[Question]


class AskedVideos:
    """Videos as dialogues with their clips in memory."""

    def __init__(self, videos: Sequence[AskedVideo]) -> None:
        self.videos = videos
        self.clips = InMemoryClips([clip for video in videos for clip in video.clips])
        self.firsts = np.cumsum([0, *(len(video.clips) for video in videos)])

    def __len__(self) -> int:
        return len(self.videos)

    def shown(self, position: int) -> tuple[ShownClip, ...]:
        first = int(self.firsts[position])
        return tuple(ShownClip(first + number, *span) for number, span in enumerate(self.videos[position].spans))

    def dialogue(self, position: int) -> VideoDialogue:
        video = self.videos[position]
        turns = tuple(AskedTurn(asked.question, asked.answer, asked.shots) for asked in video.questions)
        return VideoDialogue(video.clips[0].video_id, self.shown(position), turns)


def read_video(plan: VideoPlan, *, folder: Path, seed: int) -> AskedVideo:
    """Renders and decodes a video; a clip for each shot, and questions from the truth beside the video."""
    path = render(plan, folder)
    with av.open(str(path)) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    shots = read_truth(path).shots
    things = [shot.objects[0] for shot in shots]
    clips = [
        InMemoryClip(f"{plan.name}/{number}", plan.name, caption_of(thing), frames[shot.start_frame : shot.end_frame])
        for number, (shot, thing) in enumerate(zip(shots, things, strict=True))
    ]
    rng = np.random.default_rng([seed, *plan.name.encode()])
    spans = [(shot.start_seconds, shot.end_seconds) for shot in shots]
    return AskedVideo(clips, spans, questions_about(things, rng))


@dataclass(frozen=True)
class Scores:
    """Shares of right answers by kind and of all; share of the answers that name the right clips and no other."""

    by_kind: dict[str, float]
    right: float
    cited: float

    def line(self, name: str) -> str:
        kinds = " ".join(f"{self.by_kind[kind]:8.3f}" for kind in KINDS)
        return f"{name:22s} {self.right:6.3f} {kinds} {self.cited:6.3f}"


HEADER = f"{'':22s} {'right':>6s} {' '.join(f'{kind:>8s}' for kind in KINDS)} {'clips':>6s}"


def scores_of(asked: Sequence[Question], answers: Sequence[tuple[str, tuple[int, ...]]]) -> Scores:
    right: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    cited = []
    for question, (text, clips) in zip(asked, answers, strict=True):
        right[question.kind].append(text == question.answer)
        cited.append(clips == question.shots)
    everything = [value for values in right.values() for value in values]
    by_kind = {kind: statistics.mean(values) for kind, values in right.items()}
    return Scores(by_kind, statistics.mean(everything), statistics.mean(cited))


def score(checkpoint: Path, videos: AskedVideos) -> Scores:
    answerer = Answerer(load_chat(checkpoint), videos.clips, max_new_tokens=24)
    asked, answers = [], []
    for position, video in enumerate(videos.videos):
        given = answerer.answer(videos.shown(position), [question.question for question in video.questions])
        asked += video.questions
        answers += [(answer.text, answer.clips) for answer in given]
    return scores_of(asked, answers)


def commonest_answers(learn: AskedVideos, held_out: AskedVideos) -> Scores:
    counts: dict[str, Counter] = {kind: Counter() for kind in KINDS}
    for video in learn.videos:
        for question in video.questions:
            counts[question.kind][question.answer, question.shots] += 1
    asked = [question for video in held_out.videos for question in video.questions]
    return scores_of(asked, [counts[question.kind].most_common(1)[0][0] for question in asked])


def trained_chat(recipe: ChatRecipe, videos: AskedVideos, vision: Checkpoint, folder: Path) -> tuple[Path, float]:
    """Returns the checkpoint, and the seconds that training took with all around it."""
    started = time.monotonic()

    def report(row: dict) -> None:
        if row["step"] % STEPS_PER_LINE == 0:
            print(
                f"  step {row['step']:5d} {row['phase']:6s} loss {row['loss']:.3f}  "
                f"{row['samples_per_second']:4.0f} videos/s  {time.monotonic() - started:4.0f} s",
                flush=True,
            )

    result = train_chat(recipe, videos, vision, folder=folder, log=report)
    print(f"  {result.steps} steps in {time.monotonic() - started:.0f} s", flush=True)
    return result.checkpoint, time.monotonic() - started


def trained_viclip(recipe: Recipe, videos: AskedVideos, folder: Path) -> Checkpoint:
    started = time.monotonic()

    def report(row: dict) -> None:
        if row["step"] % STEPS_PER_LINE == 0:
            print(
                f"  step {row['step']:5d} {row['phase']:9s} loss {row['loss']:.3f}  in-batch accuracy "
                f"{row['accuracy']:.2f}  {time.monotonic() - started:4.0f} s",
                flush=True,
            )

    return load_checkpoint(train(recipe, videos.clips, folder=folder, log=report).checkpoint)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[CHAT_TINY.seed], help="of training; the videos stay")
    parser.add_argument("--videos", type=int, default=1000, help="to train on")
    parser.add_argument("--held-out", type=int, default=100, help="videos that are asked about")
    parser.add_argument("--viclip-epochs", type=float, help="of ViCLIP's first phase. Default: the recipe's")
    parser.add_argument("--tune-epochs", type=float, help="of the chat's second phase. Default: the recipe's")
    parser.add_argument("--no-blind", action="store_true", help="leave out the blind chat")
    parser.add_argument("--folder", type=Path, help="keep everything there, and use what it holds")
    arguments = parser.parse_args()
    eyes = RECIPES["viclip-tiny"]
    if arguments.viclip_epochs is not None:
        eyes = replace(eyes, phases=(replace(eyes.phases[0], epochs=arguments.viclip_epochs), *eyes.phases[1:]))

    started = time.monotonic()
    plans = question_videos(train=arguments.videos, held_out=arguments.held_out)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
            read = partial(read_video, folder=folder / "synthetic_videos", seed=0)
            learn, held_out = (
                AskedVideos(list(pool.map(read, which, chunksize=8))) for which in (plans.train, plans.held_out)
            )
        questions = sum(len(video.questions) for video in held_out.videos)
        print(
            f"{len(learn)} videos of {len(learn.clips)} clips to train on; {questions} questions about {len(held_out)} "
            f"held-out videos; rendered and read in {time.monotonic() - started:.0f} s",
            flush=True,
        )
        rows, of_sighted, of_blind = [], [], []
        for seed in arguments.seeds:
            began = time.monotonic()
            print(f"{eyes.name}, seed {seed}", flush=True)
            vision = trained_viclip(replace(eyes, seed=seed), learn, folder / f"viclip_{seed}")
            of_viclip = time.monotonic() - began
            recipe = replace(CHAT_TINY, seed=seed)
            if arguments.tune_epochs is not None:
                recipe = replace(recipe, tune=replace(recipe.tune, epochs=arguments.tune_epochs))
            print(f"{recipe.name}, seed {seed}", flush=True)
            checkpoint, seconds = trained_chat(recipe, learn, vision, folder / f"chat_{seed}_{recipe.version}")
            print(f"  ViCLIP {of_viclip:.0f} s and chat {seconds:.0f} s", flush=True)
            of_sighted.append(score(checkpoint, held_out))
            rows.append(of_sighted[-1].line(f"chat-tiny, seed {seed}"))
            print(f"{HEADER}\n{rows[-1]}", flush=True)
            if not arguments.no_blind:
                blind = replace(recipe, use_video=False)
                print(f"blind, seed {seed}", flush=True)
                checkpoint, _ = trained_chat(blind, learn, vision, folder / f"blind_{seed}_{blind.version}")
                of_blind.append(score(checkpoint, held_out))
                rows.append(of_blind[-1].line(f"blind, seed {seed}"))
    frequent = commonest_answers(learn, held_out)
    print(f"\nShare of right answers to {questions} questions about {len(held_out)} held-out videos")
    print("\n".join([HEADER, *rows, frequent.line("most frequent answer")]))
    print(f"{time.monotonic() - started:.0f} s in all")
    problems = [
        text
        for text, holds in (
            (f"at least {MIN_RIGHT} right", min(s.right for s in of_sighted) >= MIN_RIGHT),
            (f"absent things named {MIN_SAYS_ABSENT}", min(s.by_kind["absent"] for s in of_sighted) >= MIN_SAYS_ABSENT),
            (f"blind at most {MAX_BLIND}", all(s.right <= MAX_BLIND for s in of_blind)),
            (f"the most frequent answer less than {MAX_BLIND}", frequent.right < MAX_BLIND),
        )
        if not holds
    ]
    if problems:
        sys.exit(f"not reached: {'; '.join(problems)}")


if __name__ == "__main__":
    main()
