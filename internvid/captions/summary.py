"""The embedded summariser: one caption of a clip, merged from the captions of its frames and the clip's measures.

Belongs here: choosing, merging and ordering what others measured or said. It looks at no picture and adds no word
that neither a frame caption nor a measure stands behind.

Frame captions of the embedded captioner carry their phrases as data, so the same phrase over time is said once and a
change is said with "then". Captions of any other model are free text: their sentences are kept as they are, near
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

MODEL = "embedded-merger"
VERSION = "embedded-merger 2 (phrases once, changes with then, camera and motion from 2 % a second, 60 words)"

_MOST_WORDS = 60  # the text towers of video-text models read 77 tokens at most, about 60 words

# Below these nothing is said to move. 0.02 frame widths a second is a pan that takes 50 seconds to cross the picture.
_SLOWEST_PAN = 0.02  # frame widths or heights per second
_SLOWEST_ZOOM = 0.03  # log2 of scale per second: 2 % a second
_SMALLEST_MOVER = 0.01  # share of the picture
_LEAST_MOTION = 0.02  # mean change of luma per second that counts as a changing picture
_SHORTEST_FOR_MOTION = 0.1  # seconds: of a frame or two, motion per second says nothing

# A phrase has to hold in two frames and a fifth of them to be told, or a flicker of a measurement becomes a "then".
_LEAST_SUPPORT = 0.2
_LASTING_SUPPORT = 0.5


@dataclass(frozen=True)
class ClipMeasures:
    """What the table `clips` holds of one clip, in its units. A value that is not a number is not spoken of."""

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


@dataclass(frozen=True)
class TimedCaption:
    """A frame's caption. `seconds` counts from the clip's start; `scale` is "coarse" or "fine"."""

    seconds: float
    scale: str
    caption: str
    evidence: str | None
    model: str


@dataclass(frozen=True)
class ClipSummary:
    """A clip's caption, and as JSON what each of its sentences rests on.

    Status and tokens are as of `Generated`. `evidence`, None where the model cannot tell, is of the embedded summariser
    a list, one entry per sentence in order: {"sentence", "from", "left_out"}. `from` lists
    {"frame_seconds", "phrase"} for what frame captions said, or is {"measure": {name: number}} for what the clip's
    measures say. `left_out` counts the phrases or captions that said something else and did not fit, or that too few
    frames bore out.
    """

    caption: str
    evidence: str | None
    status: Status = "success"
    prompt_tokens: int | None = None
    output_tokens: int | None = None


@dataclass
class _Sentence:
    text: str
    rests_on: Any
    left_out: int = 0


class MergingSummariser:
    """Merges frame captions into a clip's caption without a language model: the same words every time."""

    model = MODEL
    version = VERSION

    def summarise(self, measures: ClipMeasures, captions: Sequence[TimedCaption]) -> ClipSummary:
        """Raises ValueError where there is no caption to summarise."""
        told = sorted((c for c in captions if c.caption.strip()), key=lambda c: (c.seconds, c.scale, c.caption))
        if not told:
            raise ValueError("a clip without frame captions cannot be summarised: caption at least one frame")
        free = [c for c in told if _phrases(c) is None]
        # Keyed by time: the middle frame may be captioned twice, once as coarse and once as fine.
        phrased = list({c.seconds: phrases for c in told if (phrases := _phrases(c)) is not None}.items())

        motion = _motion_sentences(measures)
        room = _MOST_WORDS - sum(_count_words(sentence.text) for sentence in motion)
        said: list[_Sentence] = []
        if free:
            said += _merge_free_text(free, room)
            room -= sum(_count_words(sentence.text) for sentence in said)
        if phrased:
            said += _merge_phrases(phrased, room)
        sentences = said + motion
        return ClipSummary(
            " ".join(sentence.text for sentence in sentences),
            json.dumps(
                [{"sentence": s.text, "from": s.rests_on, "left_out": s.left_out} for s in sentences], sort_keys=True
            ),
        )


def _count_words(text: str) -> int:
    return len(text.split())


# ------------------------------------------------------------------------------- captions of the embedded captioner


@dataclass
class _Told:
    """What the frames say about one thing. Lists run over the frames that say it."""

    about: str
    frames: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    phrases: list[dict[str, Any]] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return self._commonest()["kind"]

    def _commonest(self) -> dict[str, Any]:
        """Of several wordings ("two red regions", "three red regions") the one that most frames bear out."""
        things = [phrase["thing"] for phrase in self.phrases]
        return max(self.phrases, key=lambda phrase: things.count(phrase["thing"]))

    def _said(self) -> list[tuple[float, dict[str, Any]]]:
        thing = self._commonest()["thing"]
        pairs = zip(self.seconds, self.phrases, strict=True)
        return [(seconds, phrase) for seconds, phrase in pairs if phrase["thing"] == thing]

    def text(self) -> str:
        """With its place, or its two places where it changed; without, where it is all over."""
        places = [phrase["place"] for _, phrase in self._said()]
        distinct = [place for place in dict.fromkeys(places) if places.count(place) * 4 >= len(places)]
        thing = self._commonest()["thing"]
        if not all(distinct) or len(distinct) > 2:
            return thing
        return f"{thing} {', then '.join(distinct)}"

    def sources(self) -> list[dict[str, Any]]:
        return [{"frame_seconds": round(seconds, 3), "phrase": phrase["text"]} for seconds, phrase in self._said()]


def _phrases(caption: TimedCaption) -> list[dict[str, Any]] | None:
    """The phrases of a caption by the embedded captioner; None for free text."""
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


def _merge_phrases(phrased: list[tuple[float, list[dict[str, Any]]]], room: int) -> list[_Sentence]:
    """One sentence: the scene first, what appears later after "then"."""
    told: dict[str, _Told] = {}
    for index, (seconds, phrases) in enumerate(phrased):
        for phrase in phrases:
            about = phrase["about"]
            # Regions come in wavering numbers and palettes in wavering colours: one thing each. Of anything else
            # another value is a change, so each value is followed by itself.
            is_wavering = phrase["kind"] in ("region", "palette")
            key = f"{about}: {phrase['kind'] if is_wavering else phrase['thing']}"
            one = told.setdefault(key, _Told(about))
            one.frames.append(index)
            one.seconds.append(seconds)
            one.phrases.append(phrase)
    least = 1 if len(phrased) <= 3 else max(2, math.ceil(len(phrased) * _LEAST_SUPPORT))
    kept = [one for one in told.values() if len(one.frames) >= least]
    if not kept:
        kept = sorted(told.values(), key=lambda one: -len(one.frames))[:3]
    parts = _in_order(kept, len(phrased))
    while len(parts) > 1 and _count_words(_scene(parts)) > room:
        parts.pop()
    while len(parts[0]) > 1 and _count_words(_scene(parts)) > room:
        parts[0].pop()
    said = [one for part in parts for one in part]
    return [_Sentence(_scene(parts), [source for one in said for source in one.sources()], len(told) - len(said))]


def _in_order(kept: list[_Told], frame_count: int) -> list[list[_Told]]:
    """What to say first, then what to say after each "then".

    The look of the picture (light, surface, colours) and the number of faces have one value at a time, so a second
    value is a change. A thing that most frames show belongs to the scene even if the first frame misses it.
    """
    opening: list[_Told] = []
    later: dict[int, list[_Told]] = {}
    opened: set[str] = set()
    for one in sorted(kept, key=lambda one: (one.frames[0], -len(one.frames))):
        belongs_to_scene = one.frames[0] == 0 or len(one.frames) >= frame_count * _LASTING_SUPPORT
        if belongs_to_scene and one.about not in opened:
            opening.append(one)
            opened.add(one.about)
        else:
            later.setdefault(one.frames[0], []).append(one)
    changes = [later[index] for index in sorted(later)]
    return [opening, *changes] if opening else changes


def _scene(parts: list[list[_Told]]) -> str:
    """parts: the opening, then each change."""
    sentence = "; then ".join(_part_in_words(part, is_change=index > 0) for index, part in enumerate(parts))
    return sentence[0].upper() + sentence[1:] + "."


def _part_in_words(part: list[_Told], *, is_change: bool) -> str:
    if is_change and all(one.kind in ("face", "region", "text") for one in part):
        return measured.join_with_and([one.text() for one in part])
    return measured.noun_phrase([(one.kind, one.text()) for one in part])


# ----------------------------------------------------------------------------------------- captions of other models

# Words that two captions may differ in and still say the same. Numbers and negations are not among them.
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
    """One sentence of the coarse captions, one of the fine ones in time; what was said before is not repeated."""
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
            rests_on = [source for _, sources in mine for source in sources]
            sentences.append(_Sentence(text[0].upper() + text[1:] + ".", rests_on))
    return sentences


def _lower_first(text: str) -> str:
    """Lower-cases an article or the like at the start; a name keeps its capital."""
    first = text.split(" ", 1)[0]
    return text[0].lower() + text[1:] if first.lower() in _SMALL_WORDS | _TELLING | {"people"} else text


def _statements(caption: str) -> list[str]:
    """A caption's sentences without their full stops."""
    pieces = re.split(r"(?<=[.!?])\s+", " ".join(caption.split()))
    return [piece.strip(" .!?;,") for piece in pieces if piece.strip(" .!?;,")]


def _merged(said: str, also: str) -> str | None:
    """The two statements as one, or None if they say different things.

    Equal or nearly equal statements become the longer of the two; statements that differ only in a closing
    prepositional phrase keep both phrases: "cooks in a pan" and "cooks on a stove" become "cooks in a pan and on a
    stove".
    """
    one, other = _telling_words(said), _telling_words(also)
    if one & _TELLING == other & _TELLING and one | other:
        if one <= other or other <= one or len(one & other) / len(one | other) >= _NEAR_DUPLICATE:
            return said if len(one) >= len(other) else also
        words, more = said.split(), also.split()
        shared = 0
        while shared < min(len(words), len(more)) and words[shared].lower() == more[shared].lower():
            shared += 1
        if shared >= 3 and words[shared:] and more[shared:] and {words[shared], more[shared]} <= _PREPOSITIONS:
            return f"{said} and {' '.join(more[shared:])}"
    return None


def _telling_words(statement: str) -> set[str]:
    words = re.findall(r"\w+(?:['’]\w+)?", statement.lower())
    return {word if word in _TELLING else _stem(word) for word in words if word not in _SMALL_WORDS}


def _stem(word: str) -> str:
    """Enough to see that "run", "runs" and "running" are one word, and "make" and "making"; never shown."""
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            if len(word) > 3 and word[-1] == word[-2]:
                word = word[:-1]
            break
    return word.removesuffix("e")


# ---------------------------------------------------------------------------------------------- the clip's measures


def _motion_sentences(measures: ClipMeasures) -> list[_Sentence]:
    """What moves, by the clip's measures; nothing where they are missing or the clip is too short for them."""
    sentences = []
    if measures.blackness >= 0.95:
        return [_measured("The clip is black.", blackness=measures.blackness)]
    if measures.blackness >= 0.1:
        text = f"The picture is black for {_part_of_time(measures.blackness)} of the clip."
        sentences.append(_measured(text, blackness=measures.blackness))
    if not measures.seconds >= _SHORTEST_FOR_MOTION:
        return sentences
    # Stillness compares each frame with the one before: a slow or small mover stays under it, so "nothing moves" would
    # say more than was measured.
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
    elif camera_numbers and measures.motion >= _LEAST_MOTION:
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
    """What the camera does ("turns right and zooms in"; empty for nothing) and the numbers, empty if not measured."""
    numbers = {"pan_x": measures.pan_x, "pan_y": measures.pan_y, "zoom": measures.zoom}
    if not all(map(math.isfinite, numbers.values())):
        return "", {}
    moves = []
    # "turns" rather than "pans": taggers read "the camera pans" as two nouns.
    if abs(measures.pan_x) >= _SLOWEST_PAN and abs(measures.pan_x) * 3 >= abs(measures.pan_y):
        moves.append("turns right" if measures.pan_x > 0 else "turns left")
    if abs(measures.pan_y) >= _SLOWEST_PAN and abs(measures.pan_y) * 3 >= abs(measures.pan_x):
        moves.append("tilts down" if measures.pan_y > 0 else "tilts up")
    if abs(measures.zoom) >= _SLOWEST_ZOOM:
        moves.append("zooms in" if measures.zoom > 0 else "zooms out")
    return measured.join_with_and(moves), numbers


def _mover(measures: ClipMeasures) -> tuple[str, dict[str, float]]:
    """What moves otherwise than the camera explains, in words, and the numbers."""
    numbers = {"moving_share": measures.moving_share, "mover_x": measures.mover_x, "mover_y": measures.mover_y}
    if not all(map(math.isfinite, numbers.values())) or measures.moving_share < _SMALLEST_MOVER:
        return "", {}
    what = "much of the picture" if measures.moving_share >= 0.4 else "something"
    x, y = measures.mover_x, measures.mover_y
    ways = []
    if abs(y) >= _SLOWEST_PAN and abs(y) * 2 >= abs(x):
        ways.append("down" if y > 0 else "up")
    if abs(x) >= _SLOWEST_PAN and abs(x) * 2 >= abs(y):
        ways.append("to the right" if x > 0 else "to the left")
    return f"{what} moves {' and '.join(ways)}".strip(), numbers
