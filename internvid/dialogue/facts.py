"""What is known of the clips that a dialogue is about, and how a video is divided into stretches of clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from internvid.captions import measured, summary
from internvid.captions.summary import ClipMeasures, TimedCaption, phrases_of

MAX_CLIPS, MAX_SECONDS = 8, 180.0  # of a stretch: what a model sees, and a person remembers, of one dialogue

# Whether two clips follow each other: spans that were cut by hand may leave a gap, or overlap.
_MAX_GAP_SECONDS = 0.1


@dataclass(frozen=True)
class ClipFacts:
    """A clip with its caption, its measures, the captions of its frames, and what is said in it.

    boundary: why it begins, as in the table `clips`. frames: in order of time; their seconds are from the video's first
    frame. speech: in English where there is English, else as it was spoken; None where nothing is known to be said.
    """

    clip_id: str
    start_seconds: float
    end_seconds: float
    caption: str
    caption_model: str
    measures: ClipMeasures
    boundary: str = "cut"
    frames: tuple[TimedCaption, ...] = ()
    speech: str | None = None

    @property
    def span(self) -> str:
        return f"{self.start_seconds:.1f} to {self.end_seconds:.1f} s"

    @cached_property
    def phrases(self) -> dict[float, list[dict[str, Any]]]:
        """What the embedded captioner measured, by the second of each frame; empty where another one captioned."""
        by_frame = ((frame.seconds, phrases_of(frame)) for frame in self.frames)
        return {seconds: phrases for seconds, phrases in by_frame if phrases is not None}

    @property
    def is_measured(self) -> bool:
        """Whether the embedded captioner, which measures the same things in every picture, captioned it all."""
        models = {frame.model for frame in self.frames}
        return models == {measured.MODEL} or (not models and self.caption_model == summary.MODEL)


@dataclass(frozen=True)
class Turn:
    """A question and its answer.

    kind: what is asked: description, detail, order, after, length, camera, motion, speech, presence; written where a
    model chose. clip_ids: the clips that show the answer. facts: what it says, as the lake has it: each a dict with
    clip_id, fact and value. could_show: of an answer that is no, why the facts would have shown it; empty otherwise.
    """

    kind: str
    question: str
    answer: str
    clip_ids: list[str]
    facts: list[dict[str, Any]]
    could_show: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Dialogue:
    """The turns about a stretch. status, prompt_tokens, output_tokens: as of `Generated`."""

    turns: list[Turn]
    status: str = "success"
    prompt_tokens: int | None = None
    output_tokens: int | None = None


def stretches(clips: Sequence[ClipFacts]) -> Iterator[list[ClipFacts]]:
    """Divides the clips of a video, in order of time, into stretches of some clips that follow each other."""
    stretch: list[ClipFacts] = []
    for clip in clips:
        is_full = len(stretch) >= MAX_CLIPS or (stretch and clip.end_seconds - stretch[0].start_seconds > MAX_SECONDS)
        if is_full:
            yield stretch
            stretch = []
        stretch.append(clip)
    if stretch:
        yield stretch


def follow_each_other(clips: Sequence[ClipFacts]) -> bool:
    """Whether each clip begins where the one before it ends."""
    return all(abs(after.start_seconds - before.end_seconds) <= _MAX_GAP_SECONDS for before, after in pairwise(clips))
