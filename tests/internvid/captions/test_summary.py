"""Merging frame captions and a clip's measures into the clip's caption."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from internvid.captions.measured import MODEL, MeasuringCaptioner
from internvid.captions.summary import ClipMeasures, ClipSummary, MergingSummariser, TimedCaption
from internvid.things.kinds import SeenKind

# A camera on a tripod before a scene in which nothing is measured to move.
STATIC = ClipMeasures(
    seconds=5.0, motion=0.0, stillness=0.2, blackness=0.0, pan_x=0.0, pan_y=0.0, zoom=0.0, moving_share=0.0,
    mover_x=0.0, mover_y=0.0,
)  # fmt: skip
MISSING = ClipMeasures(5.0, *([float("nan")] * 9))


def free(*captions: str, coarse: str | None = None) -> list[TimedCaption]:
    """Captions of another model: the coarse one of the middle frame, the others one a second."""
    fine = [TimedCaption(float(second), "fine", text, "", "tag2text") for second, text in enumerate(captions)]
    middle = [TimedCaption(len(captions) / 2, "coarse", coarse, "", "blip2")] if coarse else []
    return fine + middle


def drawn(*pictures: Sequence[tuple[tuple[int, int], tuple[int, int, int]]]) -> list[TimedCaption]:
    """Captions by the embedded captioner of one picture a second, each with discs of (centre, colour)."""
    frames = []
    for discs in pictures:
        frame = np.full((360, 640, 3), 200, np.uint8)
        for centre, colour in discs:
            cv2.circle(frame, centre, 40, colour, -1)
        frames.append(frame)
    return [
        TimedCaption(float(second), "fine", caption.caption, caption.evidence, MODEL)
        for second, caption in enumerate(MeasuringCaptioner().caption(frames))
    ]


def summarise(captions: list[TimedCaption], measures: ClipMeasures = MISSING) -> ClipSummary:
    return MergingSummariser().summarise(measures, captions)


def evidence(summary: ClipSummary) -> list[dict[str, Any]]:
    return json.loads(summary.evidence)


def facing(count: str, place: str, *, frames: int = 4, more: Sequence[dict[str, Any]] = ()) -> list[TimedCaption]:
    """Captions by the embedded captioner of pictures with faces, and with further phrases."""
    face = {"kind": "face", "about": "face", "thing": f"{count} face{'' if count == 'one' else 's'}", "place": place}
    colours = {"kind": "colours", "about": "colours", "thing": "mostly grey", "place": ""}
    phrases = [
        phrase | {"text": f"{phrase['thing']} {phrase['place']}".strip(), "measure": {}}
        for phrase in (face, colours, *more)
    ]
    evidence = json.dumps({"phrases": phrases})
    return [TimedCaption(float(second), "fine", "A picture.", evidence, MODEL) for second in range(frames)]


TRACTOR = SeenKind("a tractor", 0.7, 0.9)

RED, BLUE = (210, 20, 20), (30, 60, 220)
LEFT, RIGHT, TOP = (90, 180), (550, 180), (320, 60)


def test_the_papers_worked_example_reads_as_a_clip():
    summary = summarise(
        free(
            "the food is prepared and ready to be eaten",
            "a person cooking some food on a stove top",
            "a table topped with lots of food",
            "a person putting food in a basket",
            coarse="a person cooking some food in a frying pan.",
        )
    )
    assert summary.caption == (
        "A person cooking some food in a frying pan and on a stove top. The food is prepared and ready to be eaten; "
        "then a table topped with lots of food; then a person putting food in a basket."
    )
    assert evidence(summary)[0] == {
        "sentence": "A person cooking some food in a frying pan and on a stove top.",
        "from": [
            {"frame_seconds": 2.0, "phrase": "a person cooking some food in a frying pan."},
            {"frame_seconds": 1.0, "phrase": "a person cooking some food on a stove top"},
        ],
        "left_out": 0,
    }


def test_the_papers_worked_example_names_each_thing_once():
    summary = summarise(
        free(
            "the food is prepared and ready to be eaten",
            "a person cooking some food on a stove top",
            "a table topped with lots of food",
            "a person putting food in a basket",
            coarse="a person cooking some food in a frying pan.",
        )
    )
    words = summary.caption.lower().replace(".", " ").split()
    for names in (("cook", "cooks", "cooking", "cooked"), ("stove",), ("table",)):
        assert sum(word in names for word in words) == 1, names


@pytest.mark.parametrize(
    ("first", "second", "caption"),
    [
        ("a dog runs", "A dog runs.", "A dog runs."),
        ("a dog runs", "a dog running on the grass", "A dog running on the grass."),
        ("a dog runs", "a picture of a dog that is running", "A dog runs."),
        ("two men play football", "three men play football", "Two men play football; then three men play football."),
        ("a man with a hat", "a man without a hat", "A man with a hat; then a man without a hat."),
        ("a dog runs", "Rome by night", "A dog runs; then Rome by night."),
    ],
    ids=["same", "more", "padded", "number", "negation", "other"],
)
def test_free_captions_are_said_once_unless_they_differ_in_substance(first, second, caption):
    assert summarise(free(first, second)).caption == caption


def test_free_captions_stand_in_order_of_time_whatever_their_order():
    captions = free("a dog runs", "the ball falls", "children laugh")
    assert summarise(captions[::-1]) == summarise(captions)
    assert summarise(captions).caption == "A dog runs; then the ball falls; then children laugh."


def test_a_phrase_that_lasts_is_said_once():
    summary = summarise(drawn(*[[(LEFT, RED)]] * 6))
    assert summary.caption == "A bright, flat, mostly white picture with a round red region at the left."
    assert [source["frame_seconds"] for source in evidence(summary)[0]["from"]][:6] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("count", "place", "sentence"),
    [
        ("one", "near the centre", "A person near the centre faces the camera."),
        ("one", "", "A person faces the camera."),
        ("two", "", "Two people face the camera."),
    ],
)
def test_who_faces_the_camera_is_named_first_and_colours_are_left_out(count, place, sentence):
    summary = summarise(facing(count, place), replace(STATIC, pan_x=0.1))
    assert summary.caption == f"{sentence} The camera turns right."
    assert evidence(summary)[0]["left_out"] == 1  # the colour


def test_things_are_named_before_what_moves_and_text_and_light_after():
    text = {"kind": "text", "about": "text", "thing": 'text "EXIT"', "place": "at the left"}
    dark = {"kind": "light", "about": "light", "thing": "dark", "place": ""}
    captions = facing("one", "at the left", more=(text, dark))
    summary = summarise(captions, replace(STATIC, things=(TRACTOR, SeenKind("a dog", 0.2, 0.3)), zoom=0.2))
    assert summary.caption == (
        'A person at the left faces the camera. A tractor is seen. The camera zooms in. Text "EXIT" at the left. '
        "The picture is dark."
    )
    assert evidence(summary)[1]["from"] == {"things": {"a tractor": {"probability": 0.7, "peak": 0.9}}}


def test_a_thing_takes_the_place_of_colours_and_one_that_is_not_sure_does_not():
    captions = drawn([(LEFT, RED)], [(LEFT, RED)])
    assert (
        summarise(captions, replace(MISSING, things=(TRACTOR,))).caption == "A tractor is seen. The picture is bright."
    )
    unsure = replace(MISSING, things=(SeenKind("a tractor", 0.3, 0.4),))
    assert summarise(captions, unsure) == summarise(captions)


def test_clothes_are_a_person_unless_a_face_says_so_already():
    worn = (SeenKind("a jersey", 0.1, 0.2), SeenKind("a hat", 0.08, 0.1))
    (drawing,) = drawn([(LEFT, RED)])
    assert summarise([drawing], replace(MISSING, things=worn)).caption.startswith("A person is seen.")
    assert summarise(facing("one", ""), replace(MISSING, things=worn)).caption == "A person faces the camera."


def test_captions_of_another_model_name_things_themselves():
    assert summarise(free("a red tractor"), replace(MISSING, things=(TRACTOR,))).caption == "A red tractor."


def test_a_text_that_is_read_differently_is_one_text():
    def reading(thing):
        return {"kind": "text", "about": "text", "thing": thing, "place": ""}

    captions = [
        replace(caption, seconds=float(second))
        for second, thing in enumerate(['text "EXIT"', "text", 'text "EXIT"', 'text "EX1T"'])
        for caption in facing("one", "", frames=1, more=(reading(thing),))
    ]
    assert summarise(captions).caption == 'A person faces the camera. Text "EXIT".'


def test_a_change_is_said_with_then():
    there, later = [(LEFT, RED)], [(LEFT, RED), (TOP, BLUE)]
    assert summarise(drawn(there, there, there, later, later)).caption == (
        "A bright, flat, mostly white picture with a round red region at the left; then a round blue region at the top."
    )
    assert summarise(drawn(*[[(LEFT, RED)]] * 3, *[[(RIGHT, RED)]] * 3)).caption == (
        "A bright, flat, mostly white picture with a round red region at the left, then at the right."
    )


def test_a_flicker_of_a_measurement_is_left_out_and_counted():
    steady, flicker = [(LEFT, RED)], [(LEFT, RED), (TOP, BLUE)]
    summary = summarise(drawn(*[steady] * 5, flicker, *[steady] * 4))
    assert "blue" not in summary.caption
    assert evidence(summary)[0]["left_out"] == 1


def test_the_middle_frame_captioned_twice_counts_once():
    captions = drawn([(LEFT, RED)], [(LEFT, RED)], [(LEFT, RED)])
    twice = [*captions, replace(captions[1], scale="coarse")]
    assert summarise(twice) == summarise(captions)


def test_evidence_that_is_not_the_embedded_captioners_is_text():
    (caption,) = drawn([(LEFT, RED)])
    for text_caption in (
        replace(caption, model="blip2"),
        replace(caption, evidence="{"),
        replace(caption, evidence="[1]"),
    ):
        summary = summarise([text_caption])
        assert summary.caption == caption.caption
        assert evidence(summary)[0]["from"] == [{"frame_seconds": 0.0, "phrase": caption.caption}]


@pytest.mark.parametrize(
    ("measures", "sentences"),
    [
        ({}, "The camera stays still."),
        ({"pan_x": 0.1}, "The camera turns right."),
        ({"pan_x": -0.1}, "The camera turns left."),
        ({"pan_y": 0.1}, "The camera tilts down."),
        ({"pan_y": -0.1, "zoom": 0.2}, "The camera tilts up and zooms in."),
        ({"zoom": -0.2}, "The camera zooms out."),
        ({"pan_x": 0.1, "moving_share": 0.1, "mover_x": -0.2},
         "The camera turns right while something moves to the left."),
        ({"moving_share": 0.1, "mover_x": 0.2}, "The camera stays still while something moves to the right."),
        ({"moving_share": 0.1, "mover_y": -0.2}, "The camera stays still while something moves up."),
        ({"moving_share": 0.1, "mover_y": 0.2, "mover_x": 0.2},
         "The camera stays still while something moves down and to the right."),
        ({"moving_share": 0.6}, "The camera stays still while much of the picture moves."),
        ({"motion": 0.3}, "The camera stays still while the picture changes."),
        ({"stillness": 1.0}, "Hardly anything changes from frame to frame."),
        (
            {"stillness": 0.7, "pan_x": 0.1},
            "The camera turns right. Hardly anything changes from frame to frame for most of the clip.",
        ),
        ({"blackness": 1.0}, "The clip is black."),
        ({"blackness": 0.3}, "The picture is black for part of the clip. The camera stays still."),
        ({"seconds": 0.03, "pan_x": 0.1}, ""),
        ({"pan_x": float("nan"), "moving_share": 0.1, "mover_x": 0.2}, ""),
    ],
    ids=str,
)  # fmt: skip
def test_the_clips_measures_become_sentences(measures, sentences):
    summary = summarise(free("a dog"), replace(STATIC, **measures))
    assert summary.caption == f"A dog. {sentences}".strip()
    numbers = {**vars(STATIC), **measures}
    for entry in evidence(summary)[1:]:
        assert entry["from"]["measure"]
        assert all(numbers[name] == number for name, number in entry["from"]["measure"].items())


def test_measures_that_are_missing_are_not_spoken_of():
    assert summarise(free("a dog"), MISSING).caption == "A dog."


def test_a_summary_is_bounded_and_counts_what_it_leaves_out():
    numbers = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    captions = free(*[f"{number} different animals walking through a {number} storey building" for number in numbers])
    summary = summarise(captions, STATIC)
    merged = summary.caption.count("different")
    assert len(summary.caption.split()) <= 60
    assert summary.caption.endswith("The camera stays still.")
    assert merged + sum(entry["left_out"] for entry in evidence(summary)) == len(captions)
    assert merged > 3
    endless = summarise(free("word " * 500), STATIC)
    assert len(endless.caption.split()) <= 61
    assert evidence(endless)[0]["left_out"] == 1


def test_sentences_make_up_the_caption_and_phrases_stand_in_their_frames():
    captions = [*drawn([(LEFT, RED)], [(TOP, BLUE)]), *free("a ball on a table")]
    summary = summarise(captions, replace(STATIC, pan_x=0.1))
    entries = evidence(summary)
    assert " ".join(entry["sentence"] for entry in entries) == summary.caption
    frame_captions = {(caption.seconds, caption.caption) for caption in captions}
    for source in [source for entry in entries if isinstance(entry["from"], list) for source in entry["from"]]:
        assert any(
            seconds == source["frame_seconds"] and source["phrase"] in caption for seconds, caption in frame_captions
        ), source


@pytest.mark.parametrize("captions", [[], [TimedCaption(0.0, "fine", "  ", "", "blip2")]], ids=["none", "empty"])
def test_without_captions_there_is_no_summary(captions):
    with pytest.raises(ValueError, match="without frame captions"):
        summarise(captions)
