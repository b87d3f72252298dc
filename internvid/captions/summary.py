"""The embedded summariser: merges the captions of a clip's frames and the clip's measures into one caption.

Belongs here: choosing, merging and ordering phrases. It reads no picture, and adds no word that is not supported by a
frame caption or a measure.

Frame captions of the embedded captioner carry their phrases as data, so a phrase that lasts is written once and a
change is written with "then". Captions of any other model are free text: their sentences are kept as they are, near
duplicates once, the coarse caption first, as the InternVid paper fuses BLIP-2's caption of the middle frame with
Tag2Text's caption of each second (section 3.2).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from internvid.captions import measured
from internvid.text.generated import Status
from internvid.things.kinds import SeenKind
from internvid.things.naming import PERSON, named

MODEL = "embedded-merger"
VERSION = "embedded-merger 3 (people, things, text, camera and motion from 2 % a second, then light; else colours)"

_MAX_WORDS = 60  # the text towers of video-text models read 77 tokens at most, about 60 words

# Smaller movements are not mentioned. 0.02 frame widths a second is a pan that takes 50 seconds to cross the picture.
_MIN_PAN = 0.02  # frame widths or heights per second
_MIN_ZOOM = 0.03  # log2 of scale per second: 2 % a second
_MIN_MOVER = 0.01  # share of the picture
_MIN_MOTION = 0.02  # mean change of luma per second that counts as a changing picture
_MIN_SECONDS_FOR_MOTION = 0.1  # motion per second of a frame or two means nothing

# A phrase is used if at least two frames and a fifth of them bear it out; otherwise a flickering measurement would
# become a "then".
_MIN_SUPPORT = 0.2
_LASTING_SUPPORT = 0.5  # from this share of frames on, a phrase belongs to the scene


@dataclass(frozen=True)
class ClipMeasures:
    """The measures of a clip, in the names and units of the table `clips`. Values that are NaN are not mentioned.

    things: the kinds of things that a classifier sees in it.
    """

    seconds: float
    motion: float
    stillness: float
    blackness: float
    pan_x: float
    pan_y: float
    zoom: float
    moving_share: float
    mover_x: float
    mover_y: float
    things: tuple[SeenKind, ...] = ()


@dataclass(frozen=True)
class TimedCaption:
    """A frame's caption. `seconds`: from the clip's start. `scale`: "coarse" or "fine"."""

    seconds: float
    scale: str
    caption: str
    evidence: str | None
    model: str


@dataclass(frozen=True)
class ClipSummary:
    """A clip's caption, and the evidence for each of its sentences.

    `evidence`: JSON, None where the model gives none. `status`, `prompt_tokens`, `output_tokens`: as of `Generated`.
    The embedded summariser's evidence is a list with an entry for each sentence, in order: {"sentence", "from",
    "left_out"}. `from` is a list of {"frame_seconds", "phrase"} for a sentence from frame captions,
    {"things": {name: {"probability", "peak"}}} for one about things that a classifier sees, and
    {"measure": {name: number}} for one from the clip's measures. `left_out` counts the different phrases or captions
    that did not fit or that too few frames bore out.
    """

    caption: str
    evidence: str | None
    status: Status = "success"
    prompt_tokens: int | None = None
    output_tokens: int | None = None


@dataclass
class _Sentence:
    """A sentence of a summary. sources, left_out: as "from" and "left_out" of the evidence.

    is_last: whether it stands after what moves.
    """

    text: str
    sources: Any
    left_out: int = 0
    is_last: bool = False


class MergingSummariser:
    """Merges frame captions into a clip's caption without a language model: the same words every time."""

    model = MODEL
    version = VERSION

    def summarise(self, measures: ClipMeasures, captions: Sequence[TimedCaption]) -> ClipSummary:
        """Raises ValueError where there is no caption to summarise."""
        written = sorted((c for c in captions if c.caption.strip()), key=lambda c: (c.seconds, c.scale, c.caption))
        if not written:
            raise ValueError("a clip without frame captions cannot be summarised: caption at least one frame")
        free = [c for c in written if phrases_of(c) is None]
        # Keyed by time: the middle frame may be captioned twice, once as coarse and once as fine.
        phrased = list({c.seconds: phrases for c in written if (phrases := phrases_of(c)) is not None}.items())

        motion = _motion_sentences(measures)
        room = _MAX_WORDS - sum(_count_words(sentence.text) for sentence in motion)
        sentences: list[_Sentence] = []
        if free:
            sentences += _merge_free_text(free, room)
            room -= sum(_count_words(sentence.text) for sentence in sentences)
        if phrased:
            sentences += _described(phrased, () if free else measures.things, room)
        last = [sentence for sentence in sentences if sentence.is_last]
        sentences = [*(sentence for sentence in sentences if not sentence.is_last), *motion, *last]
        return ClipSummary(
            " ".join(sentence.text for sentence in sentences),
            json.dumps(
                [{"sentence": s.text, "from": s.sources, "left_out": s.left_out} for s in sentences], sort_keys=True
            ),
        )


def _count_words(text: str) -> int:
    return len(text.split())


# ------------------------------------------------------------------------------- captions of the embedded captioner


@dataclass
class _Topic:
    """The phrases of several frames about one thing. Lists run over the frames that have such a phrase."""

    about: str
    frames: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    phrases: list[dict[str, Any]] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return self._commonest()["kind"]

    def _commonest(self) -> dict[str, Any]:
        """The wording ("two red regions", "three red regions") that most frames bear out."""
        things = [phrase["thing"] for phrase in self.phrases]
        return max(self.phrases, key=lambda phrase: things.count(phrase["thing"]))

    def _phrases_used(self) -> list[tuple[float, dict[str, Any]]]:
        """The phrases with the commonest wording: (seconds, phrase) of each frame that has it."""
        thing = self._commonest()["thing"]
        pairs = zip(self.seconds, self.phrases, strict=True)
        return [(seconds, phrase) for seconds, phrase in pairs if phrase["thing"] == thing]

    def text(self) -> str:
        """The wording with its place, or its two places where it moved; without a place for more places or none."""
        places = [phrase["place"] for _, phrase in self._phrases_used()]
        distinct = [place for place in dict.fromkeys(places) if places.count(place) * 4 >= len(places)]
        thing = self._commonest()["thing"]
        if not all(distinct) or len(distinct) > 2:
            return thing
        return f"{thing} {', then '.join(distinct)}"

    def sources(self) -> list[dict[str, Any]]:
        return [
            {"frame_seconds": round(seconds, 3), "phrase": phrase["text"]} for seconds, phrase in self._phrases_used()
        ]


def phrases_of(caption: TimedCaption) -> list[dict[str, Any]] | None:
    """Reads the phrases of a caption by the embedded captioner; None for free text."""
    if caption.model != measured.MODEL or caption.evidence is None:
        return None
    try:
        evidence = json.loads(caption.evidence)
    except ValueError:
        return None
    phrases = evidence.get("phrases") if isinstance(evidence, dict) else None
    if not isinstance(phrases, list) or not all(
        isinstance(phrase, dict) and {"kind", "about", "thing", "place", "text"} <= phrase.keys() for phrase in phrases
    ):
        return None
    return phrases


def _described(
    phrased: list[tuple[float, list[dict[str, Any]]]], things: Sequence[SeenKind], room: int
) -> list[_Sentence]:
    """Describes a clip from the phrases of its frames and the things in it.

    Where a person or a thing is known, a sentence each says so; text and light follow, after what moves. What is known
    only of the picture as a whole is then left out: a person would not say that a picture with a car in it is mostly
    grey. Where no thing is known, one sentence says what was measured of the picture.

    phrased: (seconds, phrases) of each frame, in order. room: maximum number of words.
    """
    topics, kept = _topics(phrased)
    largest = {
        kind: max(topics_of, key=lambda topic: len(topic.frames))
        for kind in ("face", "text", "light")
        if (topics_of := [topic for topic in kept if topic.kind == kind])
    }
    sentences = []
    if "face" in largest:
        sentences.append(_people(largest["face"]))
    names = [kind for kind in named(things) if not (kind.name == PERSON and "face" in largest)]
    if names:
        text = measured.join_with_and([kind.name for kind in names])
        seen = {kind.name: {"probability": kind.probability, "peak": kind.peak} for kind in names}
        verb = "is" if len(names) == 1 else "are"
        sentences.append(_Sentence(f"{text[0].upper()}{text[1:]} {verb} seen.", {"things": seen}))
    if not sentences:
        return _merge_phrases(topics, kept, len(phrased), room)
    if "text" in largest:
        text = largest["text"].text()
        sentences.append(_Sentence(f"{text[0].upper()}{text[1:]}.", largest["text"].sources(), is_last=True))
    light = largest.get("light")
    if light is not None and len(light.frames) >= len(phrased) * _LASTING_SUPPORT:
        sentences.append(_Sentence(f"The picture is {light.text()}.", light.sources(), is_last=True))
    while len(sentences) > 1 and _count_words(" ".join(sentence.text for sentence in sentences)) > room:
        sentences.pop()
    topics_used = sum(1 for sentence in sentences if isinstance(sentence.sources, list))
    sentences[0].left_out = len(topics) - topics_used
    return sentences


def _people(topic: _Topic) -> _Sentence:
    """Says who faces the camera. The detector finds faces that are turned to it, and no others."""
    words = topic.text()
    count, _, rest = words.partition(" face")
    place = rest.removeprefix("s").strip()
    where = f" {place}{',' if ', ' in place else ''}" if place else ""
    who = f"A person{where} faces" if count == "one" else f"{count.capitalize()} people{where} face"
    return _Sentence(f"{who} the camera.", topic.sources())


def _topics(phrased: list[tuple[float, list[dict[str, Any]]]]) -> tuple[dict[str, _Topic], list[_Topic]]:
    """Returns the topics of the frames' phrases, and those that enough frames bear out."""
    topics: dict[str, _Topic] = {}
    for index, (seconds, phrases) in enumerate(phrased):
        for phrase in phrases:
            about = phrase["about"]
            # The number of regions, the colours of palettes and what is read of a text waver from frame to frame: one
            # topic each. For anything else another value is a change, so each value is a topic.
            is_wavering = phrase["kind"] in ("region", "palette", "text")
            key = f"{about}: {phrase['kind'] if is_wavering else phrase['thing']}"
            topic = topics.setdefault(key, _Topic(about))
            topic.frames.append(index)
            topic.seconds.append(seconds)
            topic.phrases.append(phrase)
    min_frames = 1 if len(phrased) <= 3 else max(2, math.ceil(len(phrased) * _MIN_SUPPORT))
    kept = [topic for topic in topics.values() if len(topic.frames) >= min_frames]
    return topics, kept or sorted(topics.values(), key=lambda topic: -len(topic.frames))[:3]


def _merge_phrases(topics: dict[str, _Topic], kept: list[_Topic], frame_count: int, room: int) -> list[_Sentence]:
    """Merges phrases into one sentence: the scene first, later changes after "then". room: maximum number of words."""
    parts = _in_order(kept, frame_count)
    while len(parts) > 1 and _count_words(_scene(parts)) > room:
        parts.pop()
    while len(parts[0]) > 1 and _count_words(_scene(parts)) > room:
        parts[0].pop()
    used = [topic for part in parts for topic in part]
    return [_Sentence(_scene(parts), [source for topic in used for source in topic.sources()], len(topics) - len(used))]


def _in_order(topics: list[_Topic], frame_count: int) -> list[list[_Topic]]:
    """Orders topics: first those of the opening, then those after each "then".

    The appearance of the picture (light, surface, colours) and the number of faces have one value at a time, so a
    second value is a change. A thing that most frames show belongs to the scene even if the first frame misses it.
    """
    opening: list[_Topic] = []
    later: dict[int, list[_Topic]] = {}
    opened: set[str] = set()
    for topic in sorted(topics, key=lambda topic: (topic.frames[0], -len(topic.frames))):
        belongs_to_scene = topic.frames[0] == 0 or len(topic.frames) >= frame_count * _LASTING_SUPPORT
        if belongs_to_scene and topic.about not in opened:
            opening.append(topic)
            opened.add(topic.about)
        else:
            later.setdefault(topic.frames[0], []).append(topic)
    changes = [later[index] for index in sorted(later)]
    return [opening, *changes] if opening else changes


def _scene(parts: list[list[_Topic]]) -> str:
    """Writes a sentence. parts: the opening, then each change."""
    sentence = "; then ".join(_part_in_words(part, is_change=index > 0) for index, part in enumerate(parts))
    return sentence[0].upper() + sentence[1:] + "."


def _part_in_words(part: list[_Topic], *, is_change: bool) -> str:
    if is_change and all(topic.kind in ("face", "region", "text") for topic in part):
        return measured.join_with_and([topic.text() for topic in part])
    return measured.noun_phrase([(topic.kind, topic.text()) for topic in part])


# ----------------------------------------------------------------------------------------- captions of other models

# Words in which two captions with the same meaning may differ. Numbers and negations are not among them.
# fmt: off
_SMALL_WORDS = frozenset({
    "a", "an", "the", "of", "in", "on", "at", "to", "into", "onto", "up", "for", "from", "by", "with", "and", "or",
    "is", "are", "was", "were", "be", "been", "being", "there", "it", "its", "this", "that", "some", "as", "his", "her",
    "their", "image", "picture", "photo", "video", "clip",
})
_TELLING = frozenset({
    "no", "not", "without", "never", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "left", "right",
})
_PREPOSITIONS = frozenset({
    "in", "on", "at", "by", "near", "under", "over", "behind", "beside", "with", "into", "onto", "across", "through",
    "inside",
})
# fmt: on
_NEAR_DUPLICATE = 0.6  # shared share of the two captions' telling words together


def _merge_free_text(captions: list[TimedCaption], room: int) -> list[_Sentence]:
    """Writes a sentence from the coarse captions and one from the fine captions in time, without repetitions."""
    ordered = [c for c in captions if c.scale == "coarse"] + [c for c in captions if c.scale != "coarse"]
    groups: list[tuple[bool, str, list[dict[str, Any]]]] = []
    for caption in ordered:
        source = {"frame_seconds": round(caption.seconds, 3), "phrase": caption.caption}
        for statement in _statements(caption.caption):
            for index, (is_coarse, text, sources) in enumerate(groups):
                merged = _merged(text, statement)
                if merged is not None:
                    groups[index] = (is_coarse, merged, [*sources, source])
                    break
            else:
                groups.append((caption.scale == "coarse", statement, [source]))
    left_out = 0
    while len(groups) > 1 and _count_words(" ".join(s.text for s in _free_sentences(groups))) > room:
        groups.pop()
        left_out += 1
    is_coarse, text, sources = groups[0]
    if len(groups) == 1 and _count_words(text) > room:
        groups = [(is_coarse, " ".join(text.split()[:room]) + " …", sources)]
        left_out += 1
    sentences = _free_sentences(groups)
    sentences[-1].left_out = left_out
    return sentences


def _free_sentences(groups: list[tuple[bool, str, list[dict[str, Any]]]]) -> list[_Sentence]:
    sentences = []
    for scale in (True, False):
        mine = [(text, sources) for is_coarse, text, sources in groups if is_coarse is scale]
        if mine:
            text = "; then ".join(_lower_first(text) if index else text for index, (text, _) in enumerate(mine))
            merged_sources = [source for _, sources in mine for source in sources]
            sentences.append(_Sentence(text[0].upper() + text[1:] + ".", merged_sources))
    return sentences


def _lower_first(text: str) -> str:
    """Lower-cases the first word if it is an article or the like; a name keeps its capital."""
    first = text.split(" ", 1)[0]
    return text[0].lower() + text[1:] if first.lower() in _SMALL_WORDS | _TELLING | {"people"} else text


def _statements(caption: str) -> list[str]:
    """Splits a caption into its sentences, without their full stops."""
    pieces = re.split(r"(?<=[.!?])\s+", " ".join(caption.split()))
    return [piece.strip(" .!?;,") for piece in pieces if piece.strip(" .!?;,")]


def _merged(first: str, second: str) -> str | None:
    """Merges two statements into one; None if they say different things.

    Equal or nearly equal statements become the longer of the two; statements that differ only in a closing
    prepositional phrase keep both phrases: "cooks in a pan" and "cooks on a stove" become "cooks in a pan and on a
    stove".
    """
    left, right = _telling_words(first), _telling_words(second)
    if left & _TELLING == right & _TELLING and left | right:
        if left <= right or right <= left or len(left & right) / len(left | right) >= _NEAR_DUPLICATE:
            return first if len(left) >= len(right) else second
        words, more = first.split(), second.split()
        shared = 0
        while shared < min(len(words), len(more)) and words[shared].lower() == more[shared].lower():
            shared += 1
        if shared >= 3 and words[shared:] and more[shared:] and {words[shared], more[shared]} <= _PREPOSITIONS:
            return f"{first} and {' '.join(more[shared:])}"
    return None


def _telling_words(statement: str) -> set[str]:
    words = re.findall(r"\w+(?:['’]\w+)?", statement.lower())
    return {word if word in _TELLING else _stem(word) for word in words if word not in _SMALL_WORDS}


def _stem(word: str) -> str:
    """Reduces a word so that "run", "runs" and "running" are equal, and "make" and "making"; for comparison only."""
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            if len(word) > 3 and word[-1] == word[-2]:
                word = word[:-1]
            break
    return word.removesuffix("e")


# ---------------------------------------------------------------------------------------------- the clip's measures


def _motion_sentences(measures: ClipMeasures) -> list[_Sentence]:
    """Describes what moves, from the clip's measures; empty where they are missing or the clip is too short."""
    sentences = []
    if measures.blackness >= 0.95:
        return [_measured("The clip is black.", blackness=measures.blackness)]
    if measures.blackness >= 0.1:
        text = f"The picture is black for {_part_of_time(measures.blackness)} of the clip."
        sentences.append(_measured(text, blackness=measures.blackness))
    if not measures.seconds >= _MIN_SECONDS_FOR_MOTION:
        return sentences
    # Stillness compares each frame with the one before and misses slow or small movers, so "nothing moves" would say
    # more than was measured.
    if measures.stillness >= 0.98:
        text = "Hardly anything changes from frame to frame."
        return [*sentences, _measured(text, stillness=measures.stillness)]

    camera, camera_numbers = _camera(measures)
    mover, mover_numbers = _mover(measures)
    if camera and mover:
        sentences.append(_measured(f"The camera {camera} while {mover}.", **camera_numbers, **mover_numbers))
    elif camera:
        sentences.append(_measured(f"The camera {camera}.", **camera_numbers))
    elif mover and camera_numbers:
        text = f"The camera stays still while {mover}."
        sentences.append(_measured(text, **camera_numbers, **mover_numbers))
    elif camera_numbers and measures.motion >= _MIN_MOTION:
        text = "The camera stays still while the picture changes."
        sentences.append(_measured(text, **camera_numbers, motion=measures.motion))
    elif camera_numbers:
        sentences.append(_measured("The camera stays still.", **camera_numbers))
    if 0.5 <= measures.stillness < 0.98:
        text = f"Hardly anything changes from frame to frame for {_part_of_time(measures.stillness)} of the clip."
        sentences.append(_measured(text, stillness=measures.stillness))
    return sentences


def _measured(text: str, **numbers: float) -> _Sentence:
    return _Sentence(text, {"measure": {name: round(float(number), 4) for name, number in numbers.items()}})


def _part_of_time(share: float) -> str:
    return "most" if share >= 0.6 else "about half" if share >= 0.4 else "part"


def _camera(measures: ClipMeasures) -> tuple[str, dict[str, float]]:
    """The camera's movement ("turns right and zooms in"; empty for none) and its numbers, empty if not measured."""
    numbers = {"pan_x": measures.pan_x, "pan_y": measures.pan_y, "zoom": measures.zoom}
    if not all(map(math.isfinite, numbers.values())):
        return "", {}
    moves = []
    # "turns" rather than "pans": taggers read "the camera pans" as two nouns.
    if abs(measures.pan_x) >= _MIN_PAN and abs(measures.pan_x) * 3 >= abs(measures.pan_y):
        moves.append("turns right" if measures.pan_x > 0 else "turns left")
    if abs(measures.pan_y) >= _MIN_PAN and abs(measures.pan_y) * 3 >= abs(measures.pan_x):
        moves.append("tilts down" if measures.pan_y > 0 else "tilts up")
    if abs(measures.zoom) >= _MIN_ZOOM:
        moves.append("zooms in" if measures.zoom > 0 else "zooms out")
    return measured.join_with_and(moves), numbers


def _mover(measures: ClipMeasures) -> tuple[str, dict[str, float]]:
    """Describes what moves otherwise than the camera explains, and returns the numbers, empty for nothing."""
    numbers = {"moving_share": measures.moving_share, "mover_x": measures.mover_x, "mover_y": measures.mover_y}
    if not all(map(math.isfinite, numbers.values())) or measures.moving_share < _MIN_MOVER:
        return "", {}
    what = "much of the picture" if measures.moving_share >= 0.4 else "something"
    x, y = measures.mover_x, measures.mover_y
    ways = []
    if abs(y) >= _MIN_PAN and abs(y) * 2 >= abs(x):
        ways.append("down" if y > 0 else "up")
    if abs(x) >= _MIN_PAN and abs(x) * 2 >= abs(y):
        ways.append("to the right" if x > 0 else "to the left")
    return f"{what} moves {' and '.join(ways)}".strip(), numbers
