"""Dialogues from facts alone, without a model: every answer says what was measured, captioned or spoken, and where.

Belongs here: which facts are clear enough to be asked for, and the words for them. A fact is stated only where all of
its measurements agree and are far from the limit at which they would say otherwise; where they are not, it is neither
stated nor denied. So a dialogue may be short, and has no turn at all where nothing is clear.

An answer is no only where the facts would have shown a yes: colours and black pictures, which are measured in every
picture; the camera's movement, which is measured over all frames; and things that a captioner names who does name
things. Faces, text and regions are never denied, for their detectors miss some. The turn says what would have shown it.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

from internvid.captions.measured import join_with_and, noun_phrase
from internvid.dialogue.facts import ClipFacts, Dialogue, Turn, follow_each_other

MODEL = "embedded-templates"
VERSION = "embedded-templates 2 (clear facts only)"

MAX_PRESENCE = 3  # questions of a dialogue that are answered by yes or no
MAX_SPEECH = 2  # of what is said
MAX_SPOKEN_CHARACTERS = 600

# Between still and moving, nothing is said of the camera. A drawn shape that grows before a still camera measures up to
# 0.065 of zoom, the slowest zoom of the rendered videos 0.1; hands that hold a camera still measure up to 0.016 of pan.
_STILL_PAN, _CLEAR_PAN = 0.02, 0.06  # frame widths or heights per second
_STILL_ZOOM, _CLEAR_ZOOM = 0.03, 0.1  # log2 of scale per second
# A slow movement shows in a long clip: so far a camera that stays still may have moved at its end.
_STILL_SHIFT, _STILL_SCALE = 0.08, 0.12  # frame widths or heights; log2 of scale
_CLEAR_MOVER = 0.1  # frame widths or heights per second, along one axis
_MIN_MOVING_SHARE = 0.02  # of the picture
_OF_THE_PICTURE = ("light", "surface", "colours", "palette", "layout")  # kinds of phrases about all of its pixels
_MIN_FRAMES = 2  # of a clip, that show the same
_CLEARLY_BLACK, _MOSTLY_BLACK = 0.02, 0.5  # shares of a clip's frames
_MIN_SECONDS = 0.5  # of a clip whose camera is spoken of

# Pairs of colours that people name one for the other: where one was measured, the other is not denied.
_SIMILAR = (
    {"yellow", "beige"}, {"yellow", "orange"}, {"yellow", "green"}, {"orange", "brown"}, {"orange", "red"},
    {"orange", "beige"}, {"brown", "red"}, {"brown", "beige"}, {"brown", "grey"}, {"brown", "black"}, {"red", "pink"},
    {"pink", "purple"}, {"pink", "beige"}, {"purple", "blue"}, {"blue", "turquoise"}, {"blue", "grey"},
    {"green", "turquoise"}, {"green", "brown"}, {"grey", "white"}, {"grey", "black"}, {"white", "beige"},
)  # fmt: skip
_ASKED_COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink")

# Things that captioners name, with the words that name them.
_THINGS = {
    "a dog": ("dog", "dogs", "puppy", "puppies"),
    "a cat": ("cat", "cats", "kitten", "kittens"),
    "a horse": ("horse", "horses", "pony", "foal"),
    "a car": ("car", "cars", "vehicle", "vehicles", "automobile", "taxi", "van", "suv"),
    "a bicycle": ("bicycle", "bicycles", "bike", "bikes", "cyclist", "cyclists"),
    "a boat": ("boat", "boats", "ship", "ships", "sailboat", "canoe", "kayak"),
    "an airplane": ("airplane", "airplanes", "plane", "planes", "aircraft", "jet"),
    "a train": ("train", "trains", "locomotive"),
    "an elephant": ("elephant", "elephants"),
    "a piano": ("piano", "pianos", "keyboard"),
}


@dataclass(frozen=True)
class _Statement:
    """A clear fact of a clip.

    text: a clause. value: what was measured. is_distinctive: whether it is clear too of which clips it is not true.
    """

    kind: str
    text: str
    value: Any
    is_distinctive: bool = False


class TemplateDialogues:
    """Makes dialogues from facts: the same words every time."""

    model = MODEL
    version = VERSION

    def write(self, stretches: Sequence[Sequence[ClipFacts]]) -> list[Dialogue]:
        """Returns a dialogue about each stretch; one without turns where nothing is clear."""
        return [Dialogue(_turns(clips)) for clips in stretches]


def _turns(clips: Sequence[ClipFacts]) -> list[Turn]:
    if not clips:
        return []
    turns: list[Turn | None] = [
        _description(clips),
        _detail(clips),
        _order(clips),
        _after(clips),
        _length(clips),
        _camera_question(clips),
        _motion(clips),
        *_speech(clips),
        *_presence(clips),
    ]
    return [turn for turn in turns if turn is not None]


def _fact(clip: ClipFacts, name: str, value: Any) -> dict[str, Any]:
    return {"clip_id": clip.clip_id, "fact": name, "value": value}


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _chosen(clips: Sequence[ClipFacts], purpose: str, count: int) -> int:
    """Returns a number below `count` that depends on the stretch and the purpose alone."""
    digest = hashlib.md5(f"{purpose}/{clips[0].clip_id}".encode(), usedforsecurity=False).hexdigest()
    return int(digest[:8], 16) % count


# ------------------------------------------------------------------------------------------------ what a clip shows


def _statements(clip: ClipFacts) -> list[_Statement]:
    """Returns the clear facts of a clip that the embedded captioner described."""
    statements = [_colour(clip), *_things(clip), _mover(clip), _camera(clip)]
    return [statement for statement in statements if statement is not None]


def _shown_frames(clip: ClipFacts) -> list[tuple[float, list[dict[str, Any]]]]:
    """Returns seconds and phrases of the frames that are not blank; empty where too few are measured."""
    frames = [
        (seconds, phrases)
        for seconds, phrases in clip.phrases.items()
        if not any(phrase["kind"] == "blank" for phrase in phrases)
    ]
    return frames if clip.is_measured and len(frames) >= _MIN_FRAMES else []


def _colour(clip: ClipFacts) -> _Statement | None:
    """Says of which colour the picture mostly is, or its halves, where every frame shows the same."""
    frames = _shown_frames(clip)
    phrases = [[phrase for phrase in phrases if phrase["about"] == "colours"] for _, phrases in frames]
    if not frames or not all(phrases) or len({of_frame[0]["thing"] for of_frame in phrases}) > 1:
        return None
    first, measures = phrases[0][0], [of_frame[0]["measure"] for of_frame in phrases]
    if first["thing"].startswith("mostly ") and first["kind"] == "colours":
        (colour,) = first["thing"].split()[1:]
        shares = [measure[colour] for measure in measures]
        return _Statement("colour", f"the picture is mostly {colour}", {"colour": colour, "shares": shares}, True)
    if first["kind"] == "layout" and first["thing"].startswith("mostly "):
        return _Statement("colour", f"the picture is {first['thing']}", {"halves": measures}, False)
    return None


def _things(clip: ClipFacts) -> Iterator[_Statement]:
    """Yields what every frame shows: faces, text, and single regions that are round or square."""
    frames = _shown_frames(clip)
    if not frames:
        return
    of_kind: dict[str, list[dict[str, Any]]] = {}
    for _, phrases in frames:
        for phrase in phrases:
            if phrase["kind"] in ("face", "region", "text"):
                of_kind.setdefault(phrase["about"], []).append(phrase)
    for about, phrases in of_kind.items():
        things = {phrase["thing"] for phrase in phrases}
        if len(phrases) < len(frames):
            continue
        if about == "text":  # what is read of it may differ from frame to frame
            yield _Statement("text", "there is text in the picture", "text")
            continue
        if len(things) > 1:
            continue
        (thing,) = things
        if about == "face":
            is_one = thing == "one face"
            yield _Statement("face", f"{thing} {'is' if is_one else 'are'} turned to the camera", thing)
        elif _is_shaped(phrases):
            places = [phrase["place"] for phrase in phrases]
            yield _Statement("region", f"there is {thing} in the picture", {"thing": thing, "places": places})


def _is_shaped(phrases: Sequence[dict[str, Any]]) -> bool:
    return all(
        phrase["measure"].get("count") == 1 and re.match(r"an? (round|square) ", phrase["thing"]) for phrase in phrases
    )


def _camera(clip: ClipFacts) -> _Statement | None:
    """Says how the camera moves, or that it stays still, where that is clear."""
    moves = _camera_moves(clip)
    if moves is None:
        return None
    measures = clip.measures
    value = {name: round(float(getattr(measures, name)), 4) for name in ("pan_x", "pan_y", "zoom")}
    if not moves:
        return _Statement("camera", "the camera stays still", value)
    return _Statement("camera", f"the camera {join_with_and(moves)}", value, True)


def _camera_moves(clip: ClipFacts) -> list[str] | None:
    """Returns the camera's clear movements, none where it stays still; None where it is not clear."""
    measures = clip.measures
    if not all(map(math.isfinite, (measures.pan_x, measures.pan_y, measures.zoom))):
        return None
    if measures.seconds < _MIN_SECONDS or measures.blackness >= _MOSTLY_BLACK:  # there is little to see it by
        return None
    moves, unclear = [], False
    for value, still, shift, clear, words in (
        (measures.pan_x, _STILL_PAN, _STILL_SHIFT, _CLEAR_PAN, ("turns left", "turns right")),
        (measures.pan_y, _STILL_PAN, _STILL_SHIFT, _CLEAR_PAN, ("tilts up", "tilts down")),
        (measures.zoom, _STILL_ZOOM, _STILL_SCALE, _CLEAR_ZOOM, ("zooms out", "zooms in")),
    ):
        if abs(value) >= clear:
            moves.append(words[value > 0])
        elif abs(value) > still or abs(value) * measures.seconds > shift:
            unclear = True
    return None if unclear and not moves else moves


def _mover(clip: ClipFacts) -> _Statement | None:
    """Says in which direction something moves before a still camera, along one axis."""
    measures = clip.measures
    numbers = (measures.moving_share, measures.mover_x, measures.mover_y)
    if _camera_moves(clip) != [] or not all(map(math.isfinite, numbers)) or measures.moving_share < _MIN_MOVING_SHARE:
        return None
    across, down = measures.mover_x, measures.mover_y
    along, aside = (across, down) if abs(across) >= abs(down) else (down, across)
    if abs(along) < _CLEAR_MOVER or abs(aside) * 4 > abs(along):
        return None
    words = ("to the left", "to the right") if along is across else ("up", "down")
    value = dict(zip(("moving_share", "mover_x", "mover_y"), (round(float(n), 4) for n in numbers), strict=True))
    return _Statement("motion", f"something moves {words[along > 0]}", value | {"way": words[along > 0]})


def _shows(clip: ClipFacts) -> tuple[str, list[dict[str, Any]]] | None:
    """Returns what the clip shows, as sentences, and the facts behind it; None where nothing is clear."""
    if not clip.is_measured:
        return (clip.caption, [_fact(clip, "caption", clip.caption)]) if clip.caption else None
    statements = _statements(clip)
    picture = [statement.text for statement in statements if statement.kind in ("colour", "region", "face", "text")]
    moving = [statement.text for statement in statements if statement.kind in ("motion", "camera")]
    sentences = [_capital(join_with_and(texts)) + "." for texts in (picture, moving) if texts]
    facts = [_fact(clip, statement.kind, statement.value) for statement in statements]
    if not any(statement.kind == "colour" for statement in statements) and (moment := _moment(clip)) is not None:
        sentences.insert(0, moment[0])
        facts.insert(0, moment[1])
    return (" ".join(sentences), facts) if sentences else None


def _moment(clip: ClipFacts) -> tuple[str, dict[str, Any]] | None:
    """Describes light, texture and colours of the frame in the middle, for they change within the clip."""
    frames = [
        (seconds, of_picture)
        for seconds, phrases in _shown_frames(clip)
        if (of_picture := [phrase for phrase in phrases if phrase["kind"] in _OF_THE_PICTURE])
        and any(phrase["about"] == "colours" for phrase in of_picture)
    ]
    if not frames:
        return None
    seconds, phrases = frames[len(frames) // 2]
    words = noun_phrase([(phrase["kind"], phrase["text"]) for phrase in phrases])
    value = {"frame_seconds": seconds, "phrases": [phrase["text"] for phrase in phrases]}
    return f"At {seconds:.1f} s it is {words}.", _fact(clip, "frame", value)


# -------------------------------------------------------------------------------------------------------- questions


def _description(clips: Sequence[ClipFacts]) -> Turn | None:
    shown = [(clip, shows) for clip in clips if (shows := _shows(clip)) is not None]
    if not shown:
        return None
    facts = [fact for _, (_, of_clip) in shown for fact in of_clip]
    answer = " ".join(f"From {clip.span}: {text}" for clip, (text, _) in shown)
    question = f"What does the video show from {clips[0].start_seconds:.1f} to {clips[-1].end_seconds:.1f} s?"
    return Turn("description", question, answer, [clip.clip_id for clip, _ in shown], facts)


def _detail(clips: Sequence[ClipFacts]) -> Turn | None:
    candidates = [
        (clip, statement)
        for clip in clips
        for statement in _statements(clip)
        if statement.kind == "region" and all(statement.value["places"])
    ]
    if not candidates:
        return None
    clip, statement = candidates[_chosen(clips, "detail", len(candidates))]
    thing = re.sub(r"^an? ", "the ", statement.value["thing"])
    places = [place for before, place in pairwise(["", *statement.value["places"]]) if place != before]
    return Turn(
        "detail",
        f"Where in the picture is {thing} from {clip.span}?",
        f"{_capital(', then '.join(places))}.",
        [clip.clip_id],
        [_fact(clip, "region", statement.value | {"frame_seconds": [seconds for seconds, _ in _shown_frames(clip)]})],
    )


def _labels(clips: Sequence[ClipFacts]) -> list[tuple[int, _Statement]]:
    """Returns statements, each with the index of its clip, that are clearly true of that clip and of no other."""
    return [
        (index, statement)
        for index, clip in enumerate(clips)
        for statement in _statements(clip)
        if statement.is_distinctive
        and all(_lacks(another, statement) for number, another in enumerate(clips) if number != index)
    ]


def _lacks(clip: ClipFacts, statement: _Statement) -> bool:
    if statement.kind == "colour":
        return _colour(clip) is not None and not _similar(statement.value["colour"]) & _colours_seen(clip, "colours")
    moves = _camera_moves(clip)
    return (
        moves is not None
        and f"the camera {join_with_and(moves)}" != statement.text
        and not (set(moves) & set(re.findall(r"(?:turns|tilts|zooms) \w+", statement.text)))
    )


def _order(clips: Sequence[ClipFacts]) -> Turn | None:
    labels = _labels(clips)
    pairs = [(first, second) for first, second in combinations(labels, 2) if first[0] < second[0]]
    if not pairs or not follow_in_time(clips):
        return None
    (index, first), (later_index, second) = pairs[_chosen(clips, "order", len(pairs))]
    clip, later = clips[index], clips[later_index]
    named = [first.text, second.text]
    if _chosen(clips, "which is named first", 2):
        named.reverse()
    return Turn(
        "order",
        f"Which comes first: the part in which {named[0]}, or the part in which {named[1]}?",
        f"The part in which {first.text}, from {clip.span}. The part in which {second.text} begins at "
        f"{later.start_seconds:.1f} s.",
        [clip.clip_id, later.clip_id],
        [_fact(clip, first.kind, first.value), _fact(later, second.kind, second.value)],
    )


def follow_in_time(clips: Sequence[ClipFacts]) -> bool:
    """Whether no clip begins before the one before it ends."""
    return all(after.start_seconds >= before.end_seconds - 0.1 for before, after in pairwise(clips))


def _after(clips: Sequence[ClipFacts]) -> Turn | None:
    label_of = {index: statement for index, statement in reversed(_labels(clips))}
    candidates = [
        (index, shows)
        for index, pair in enumerate(pairwise(clips))
        if follow_each_other(pair) and (shows := _shows(pair[1])) is not None
    ]
    labelled = [candidate for candidate in candidates if candidate[0] in label_of]
    candidates = labelled or candidates
    if not candidates:
        return None
    index, (text, facts) = candidates[_chosen(clips, "after", len(candidates))]
    clip, following = clips[index], clips[index + 1]
    label = label_of.get(index)
    what = f"the part in which {label.text}" if label is not None else f"the part from {clip.span}"
    named = [_fact(clip, label.kind, label.value)] if label is not None else []
    return Turn(
        "after",
        f"What happens after {what}?",
        f"From {following.span}: {text}",
        [clip.clip_id, following.clip_id],
        [*named, *facts],
    )


def _length(clips: Sequence[ClipFacts]) -> Turn | None:
    candidates = [
        (clip, following)
        for clip, following in pairwise(clips)
        if clip.boundary in ("start", "cut") and following.boundary == "cut" and follow_each_other([clip, following])
    ]
    if not candidates:
        return None
    clip, following = candidates[_chosen(clips, "length", len(candidates))]
    seconds = following.start_seconds - clip.start_seconds
    return Turn(
        "length",
        f"How long does the video run from {clip.start_seconds:.1f} s to the next cut?",
        f"{seconds:.1f} seconds: the next cut is at {following.start_seconds:.1f} s.",
        [clip.clip_id, following.clip_id],
        [
            _fact(clip, "span", {"start_seconds": clip.start_seconds, "boundary": clip.boundary}),
            _fact(following, "span", {"start_seconds": following.start_seconds, "boundary": following.boundary}),
        ],
    )


def _camera_question(clips: Sequence[ClipFacts]) -> Turn | None:
    clear = [(clip, statement) for clip in clips if (statement := _camera(clip)) is not None]
    moving = [pair for pair in clear if pair[1].is_distinctive]
    candidates = moving or clear
    if not candidates:
        return None
    clip, statement = candidates[_chosen(clips, "camera", len(candidates))]
    answer = statement.text.replace("the camera", "it")
    return Turn(
        "camera",
        f"How does the camera move from {clip.span}?",
        f"{_capital(answer)}.",
        [clip.clip_id],
        [_fact(clip, "camera", statement.value)],
    )


def _motion(clips: Sequence[ClipFacts]) -> Turn | None:
    candidates = [(clip, statement) for clip in clips if (statement := _mover(clip)) is not None]
    if not candidates:
        return None
    clip, statement = candidates[_chosen(clips, "motion", len(candidates))]
    return Turn(
        "motion",
        f"In which direction does something move from {clip.span}?",
        f"{_capital(statement.value['way'])}.",
        [clip.clip_id],
        [_fact(clip, "motion", statement.value)],
    )


def _speech(clips: Sequence[ClipFacts]) -> Iterator[Turn]:
    spoken = [clip for clip in clips if clip.speech and len(clip.speech) <= MAX_SPOKEN_CHARACTERS]
    for clip in spoken[:MAX_SPEECH]:
        yield Turn(
            "speech",
            f"What is said from {clip.span}?",
            f"“{clip.speech}”",
            [clip.clip_id],
            [_fact(clip, "speech", clip.speech)],
        )


# ------------------------------------------------------------------------------------------------------- yes and no


def _presence(clips: Sequence[ClipFacts]) -> list[Turn]:
    """Returns questions with yes or no as answer: at least one no where one is clear, and a yes beside it."""
    makers: tuple[Callable[[Sequence[ClipFacts]], Iterator[Turn]], ...] = (
        _of_colours,
        _of_camera,
        _of_black,
        _of_things,
    )
    turns = [turn for maker in makers for turn in maker(clips)]
    positive = [turn for turn in turns if not turn.could_show]
    negative = [turn for turn in turns if turn.could_show]
    chosen = _varied(clips, "yes", positive, 1)
    return [*chosen, *_varied(clips, "no", negative, MAX_PRESENCE - len(chosen))]


def _varied(clips: Sequence[ClipFacts], purpose: str, turns: list[Turn], count: int) -> list[Turn]:
    """Returns some of the turns, of different kinds of fact before those of one kind."""
    if not turns:
        return []
    first = _chosen(clips, purpose, len(turns))
    rotated = turns[first:] + turns[:first]
    by_fact = {turn.facts[0]["fact"]: turn for turn in reversed(rotated)}
    distinct = [turn for turn in rotated if by_fact[turn.facts[0]["fact"]] is turn]
    return [*distinct, *(turn for turn in rotated if turn not in distinct)][:count]


def _of_colours(clips: Sequence[ClipFacts]) -> Iterator[Turn]:
    if not all(clip.is_measured and clip.phrases for clip in clips):
        return
    frames = sum(len(clip.phrases) for clip in clips)
    seen: set[str] = set().union(*map(_colours_seen, clips))
    ids = [clip.clip_id for clip in clips]
    for colour in _ASKED_COLOURS:
        question = f"Is the picture mostly {colour} at any time?"
        shown = [
            (clip, statement)
            for clip in clips
            if (statement := _colour(clip)) is not None and statement.value.get("colour") == colour
        ]
        if shown:
            clip, statement = shown[0]
            yield Turn(
                "presence",
                question,
                f"Yes, from {clip.span}.",
                [clip.clip_id],
                [_fact(clip, "colour", statement.value)],
            )
        elif not _similar(colour) & seen:
            facts = [_fact(clip, "colours of frames", sorted(_colours_seen(clip))) for clip in clips]
            yield Turn(
                "presence",
                question,
                f"No, the picture is never mostly {colour}.",
                ids,
                facts,
                f"the colours of all pixels were counted in {frames} frames, one a second, and a colour that covers "
                "half of a picture is always named",
            )


def _similar(colour: str) -> set[str]:
    """Returns the colour and those that are named for it."""
    return {colour}.union(*(colours for colours in _SIMILAR if colour in colours))


def _colours_seen(clip: ClipFacts, about: str | None = None) -> set[str]:
    """Returns the colours that the phrases of any frame name; with `about` only those about it."""
    texts = " ".join(
        phrase["thing"]
        for phrases in clip.phrases.values()
        for phrase in phrases
        if about is None or phrase["about"] == about
    )
    return set(re.findall(r"[a-z]+", texts)) & set().union(*_SIMILAR, {"black"})


def _of_camera(clips: Sequence[ClipFacts]) -> Iterator[Turn]:
    moves = [_camera_moves(clip) for clip in clips]
    for words, name, sign, still, shift in (
        ("zooms in", "zoom", 1, _STILL_ZOOM, _STILL_SCALE),
        ("zooms out", "zoom", -1, _STILL_ZOOM, _STILL_SCALE),
        ("turns right", "pan_x", 1, _STILL_PAN, _STILL_SHIFT),
        ("turns left", "pan_x", -1, _STILL_PAN, _STILL_SHIFT),
    ):
        values = [sign * float(getattr(clip.measures, name)) for clip in clips]
        question = f"Is there a part in which the camera {words}?"
        if shown := [clip for clip, of_clip in zip(clips, moves, strict=True) if of_clip and words in of_clip]:
            value = round(float(getattr(shown[0].measures, name)), 4)
            facts = [_fact(shown[0], "camera", {name: value})]
            yield Turn("presence", question, f"Yes, from {shown[0].span}.", [shown[0].clip_id], facts)
        elif all(
            value <= still and value * clip.measures.seconds <= shift for clip, value in zip(clips, values, strict=True)
        ):
            facts = [_fact(clip, "camera", {name: round(float(getattr(clip.measures, name)), 4)}) for clip in clips]
            yield Turn(
                "presence",
                question,
                f"No, there is no part in which it {words} on the whole.",
                [clip.clip_id for clip in clips],
                facts,
                "the camera's movement is measured between all frames of each clip, as their mean: what goes forth and "
                "back within a clip does not count",
            )


def _of_black(clips: Sequence[ClipFacts]) -> Iterator[Turn]:
    question = "Does the picture go black at any time?"
    values = [float(clip.measures.blackness) for clip in clips]
    if shown := [clip for clip, value in zip(clips, values, strict=True) if value >= _CLEARLY_BLACK]:
        clip = shown[0]
        facts = [_fact(clip, "blackness", round(float(clip.measures.blackness), 4))]
        yield Turn(
            "presence",
            question,
            f"Yes, for a time between {clip.span.replace(' to ', ' and ')}.",
            [clip.clip_id],
            facts,
        )
    elif all(value == 0 for value in values) and follow_each_other(clips):  # a fade between two is of neither
        facts = [_fact(clip, "blackness", 0.0) for clip in clips]
        ids = [clip.clip_id for clip in clips]
        could_show = "every frame was measured, and none is black"
        yield Turn("presence", question, "No, no frame is black.", ids, facts, could_show)


def _of_things(clips: Sequence[ClipFacts]) -> Iterator[Turn]:
    """Asks for things, where a captioner that names things described at least one frame of every clip."""
    if any(clip.is_measured or not clip.frames for clip in clips):
        return
    models = sorted({frame.model for clip in clips for frame in clip.frames})
    number = sum(len(clip.frames) for clip in clips)
    words_of = {clip.clip_id: _words(clip) for clip in clips}
    for thing, names in _THINGS.items():
        question = f"Is there {thing} in the video?"
        shown = [clip for clip in clips if set(names) & words_of[clip.clip_id]]
        if shown:
            captions = [frame.caption for frame in shown[0].frames if set(names) & _words_in(frame.caption)]
            if len(captions) >= _MIN_FRAMES:
                facts = [_fact(shown[0], "frame captions", captions)]
                yield Turn("presence", question, f"Yes, from {shown[0].span}.", [shown[0].clip_id], facts)
            continue
        yield Turn(
            "presence",
            question,
            f"No, there is no {thing.split(' ', 1)[1]} to be seen.",
            [clip.clip_id for clip in clips],
            [_fact(clip, "captions without it", len(clip.frames)) for clip in clips],
            f"{join_with_and(models)}, which names things, captioned {number} frames, and no caption names {thing}",
        )


def _words(clip: ClipFacts) -> set[str]:
    return set().union(_words_in(clip.caption), *(_words_in(frame.caption) for frame in clip.frames))


def _words_in(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))
