"""Documents of clips and texts in order, and the two forms in which trainers read them.

A document is one video, or two: its clips in order of time, each as a place of the video, then its caption, then, in
form b, what is said in it. Clips and frames are named, never copied. As in the InternVid paper (section 3.4, appendix
D) the video of a clip is dropped with a probability, and its texts stay: a model then has more text to go by.

The form `lists` is that of OmniCorpus: parallel lists `texts` and `images`, of which at each index one holds null. As
in MMC4, each clip says at which indices its texts stand. The form `stream` is that of Flamingo: one text with a mark
where each video stands, and the videos in the order of the marks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Form = Literal["a", "b", "c"]

FORMS: dict[Form, str] = {
    "a": "clips and captions of a video",
    "b": "clips, captions and speech of a video",
    "c": "two documents of form a together",
}
VERSION = "interleaved-1"  # of documents: count it up with any change to them

VIDEO = "<|video|>"  # mark of a video in a stream
END_OF_CLIP = "<|endofchunk|>"  # mark of the end of a clip's texts, as Flamingo has it


@dataclass(frozen=True)
class ClipReference:
    """A clip as a document names it.

    uri: of its video. start_seconds, end_seconds, frame_seconds: from the video's first frame. frame_id: the middle
    frame, which stands for the clip where a picture is wanted; None if it has none.
    """

    clip_id: str
    video_id: str
    uri: str | None
    start_seconds: float
    end_seconds: float
    frame_id: str | None
    frame_seconds: float | None


@dataclass(frozen=True)
class DocumentClip(ClipReference):
    """A clip that a document is made of. speech: None if none is known."""

    caption: str
    speech: str | None = None


@dataclass(frozen=True)
class PlacedClip(ClipReference):
    """The reference to a clip within a document.

    image_index: index in `images`; None where its video was dropped. text_index, speech_index: indices in `texts`;
    speech_index is None without speech.
    """

    image_index: int | None
    text_index: int
    speech_index: int | None


@dataclass(frozen=True)
class Document:
    """texts, images: equally long; at each index one is None. images: clip_ids. clips: all clips, in order."""

    texts: list[str | None]
    images: list[str | None]
    clips: list[PlacedClip]

    @property
    def dropped(self) -> int:
        """The number of clips whose video was dropped."""
        return sum(clip.image_index is None for clip in self.clips)


def document_of(clips: Sequence[DocumentClip], *, with_speech: bool, drop: float, seed: int) -> Document:
    """Makes a document of clips, which are in order. drop: probability with which the video of a clip is dropped.

    Which are dropped depends on the seed and on each clip alone. At least one clip of each video keeps it: where all
    would be dropped, the one that came closest to staying.
    """
    chances = [_chance(seed, clip.clip_id) for clip in clips]
    last_to_go: dict[str, int] = {}
    for index, clip in enumerate(clips):
        if chances[index] >= chances[last_to_go.setdefault(clip.video_id, index)]:
            last_to_go[clip.video_id] = index
    kept = {index for index, chance in enumerate(chances) if chance >= drop} | set(last_to_go.values())
    texts: list[str | None] = []
    images: list[str | None] = []
    placed = []

    def put(*, text: str | None = None, image: str | None = None) -> int:
        texts.append(text)
        images.append(image)
        return len(texts) - 1

    for index, clip in enumerate(clips):
        speech = clip.speech if with_speech else None
        placed.append(
            PlacedClip(
                clip.clip_id,
                clip.video_id,
                clip.uri,
                clip.start_seconds,
                clip.end_seconds,
                clip.frame_id,
                clip.frame_seconds,
                image_index=put(image=clip.clip_id) if index in kept else None,
                text_index=put(text=clip.caption),
                speech_index=put(text=speech) if speech else None,
            )
        )
    return Document(texts, images, placed)


def stream_of(texts: Sequence[str | None], clips: Iterable[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    """Returns the document as one text with marks, and the clips that the marks stand for, in their order.

    texts, clips: of a document; clips as dicts of `PlacedClip`. A mark that stands in a text loses its form.
    """
    parts, videos = [], []
    for clip in clips:
        if clip["image_index"] is not None:
            parts.append(VIDEO)
            videos.append(clip)
        indices = [clip["text_index"], clip["speech_index"]]
        parts.append(" ".join(_without_marks(texts[index] or "") for index in indices if index is not None))
        parts.append(END_OF_CLIP)
    return "".join(parts), videos


def as_dicts(clips: Iterable[PlacedClip]) -> list[dict[str, Any]]:
    return [asdict(clip) for clip in clips]


def _without_marks(text: str) -> str:
    return text.replace("<|", "< |")


def _chance(seed: int, clip_id: str) -> float:
    """Returns a number in [0, 1) that depends on seed and clip alone."""
    digest = hashlib.md5(f"drop/{seed}/{clip_id}".encode(), usedforsecurity=False).hexdigest()
    return int(digest[:13], 16) / 16**13
