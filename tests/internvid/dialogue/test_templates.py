"""Dialogues by templates: each answer is a fact, and nothing is denied that the facts would not have shown."""

import math

from facts_of_clips import captioned, clip, colour, region

from internvid.dialogue.facts import MAX_CLIPS, ClipFacts, Turn, stretches
from internvid.dialogue.templates import TemplateDialogues


def turns(*clips: ClipFacts) -> list[Turn]:
    (dialogue,) = TemplateDialogues().write([clips])
    for turn in dialogue.turns:
        assert turn.clip_ids, "every answer names its clips"
        assert set(turn.clip_ids) <= {clip.clip_id for clip in clips}
        assert turn.facts, "and the facts behind it"
        assert {fact["clip_id"] for fact in turn.facts} <= set(turn.clip_ids)
        assert turn.answer.startswith("No,") == bool(turn.could_show)
    return dialogue.turns


def answers(kind: str, *clips: ClipFacts) -> dict[str, str]:
    return {turn.question: turn.answer for turn in turns(*clips) if turn.kind == kind}


def test_what_every_frame_shows_is_described_and_what_only_a_frame_shows_is_not():
    blue, red = [colour("blue")], [colour("blue"), region("a round red region", "at the top")]
    described = answers("description", clip(0, red, red), clip(1, red, blue))
    (text,) = described.values()
    assert text == (
        "From 0.0 to 4.0 s: The picture is mostly blue and there is a round red region in the picture. The camera "
        "stays still. From 4.0 to 8.0 s: The picture is mostly blue. The camera stays still."
    )


def test_the_order_is_asked_of_what_is_true_of_one_clip_alone():
    blue, green, orange = ([colour(name)] * 1 for name in ("blue", "green", "orange"))
    asked = answers("order", clip(0, blue, blue), clip(1, green, green), clip(2, orange, orange))
    ((question, answer),) = asked.items()
    first, later = sorted((name for name in ("blue", "green", "orange") if name in question), key="bgo".find)
    assert f"mostly {first}, from" in answer
    places = {"blue": "0.0", "green": "4.0", "orange": "8.0"}
    assert f"from {places[first]} to" in answer
    assert answer.endswith(f"mostly {later} begins at {places[later]} s.")
    assert answers("order", clip(0, blue, blue), clip(1, blue, blue)) == {}, "both are blue"
    assert answers("order", clip(0, blue, blue), clip(1, [colour("purple")], [colour("purple")])) == {}, "alike"


def test_the_camera_is_said_to_move_only_where_that_is_clear():
    camera = {
        "It turns right.": {"pan_x": 0.2},
        "It tilts up and zooms in.": {"pan_y": -0.1, "zoom": 0.3},
        "It stays still.": {"pan_x": 0.01},
    }
    for answer, measures in camera.items():
        assert list(answers("camera", clip(0, **measures)).values()) == [answer]
    for unclear in ({"pan_x": 0.04}, {"zoom": 0.06}, {"pan_x": 0.015, "seconds": 40.0}, {"zoom": math.nan}):
        assert answers("camera", clip(0, **unclear)) == {}
        assert "the camera" not in str(answers("description", clip(0, **unclear))).lower()


def test_a_movement_that_is_not_clear_is_neither_stated_nor_denied():
    asked = {turn.question for turn in turns(clip(0, zoom=0.06), clip(1, pan_x=-0.04))}
    assert not {f"Is there a part in which the camera {words}?" for words in ("zooms in", "turns left")} & asked


def test_no_is_said_of_a_colour_that_every_frame_would_have_shown_and_is_not_named_alike():
    blue = [colour("blue")]
    unclear = {"blackness": 0.01, "pan_x": 0.04, "zoom": 0.05}
    denied = [turn for number in range(60) for turn in turns(clip(number, blue, blue, **unclear)) if turn.could_show]
    colours = {turn.question.split()[4] for turn in denied if turn.question.startswith("Is the picture mostly ")}
    assert colours == {"red", "orange", "yellow", "green", "pink"}, "what is blue, people may call purple"
    assert all("2 frames" in turn.could_show for turn in denied if "mostly" in turn.question)
    without_frames = turns(clip(0), clip(1))
    assert not [turn for turn in without_frames if "mostly" in turn.question], "colours were not measured"


def test_faces_text_and_regions_are_never_denied():
    blue = [colour("blue")]
    denied = [turn.question for number in range(30) for turn in turns(clip(number, blue, blue)) if turn.could_show]
    assert not [question for question in denied if any(word in question for word in ("face", "text", "region"))]


def test_a_thing_is_denied_only_where_a_captioner_that_names_things_saw_every_clip():
    dogs = captioned(0, "a dog runs", "the dog jumps"), captioned(1, "a red car", "a car on a road")
    questions = {turn.question: turn for number in range(1) for turn in turns(*dogs)}
    about_things = {question: turn for question, turn in questions.items() if question.startswith("Is there a")}
    denied = [turn for turn in about_things.values() if turn.could_show and "camera" not in turn.question]
    assert not [turn for turn in denied if "dog" in turn.question or " car " in turn.question]
    assert all("vl, which names things, captioned 4 frames" in turn.could_show for turn in denied)
    measured_only = turns(clip(0, [colour("blue")], [colour("blue")]), dogs[1])
    assert not [turn for turn in measured_only if "Is there a" in turn.question and "part" not in turn.question]


def test_what_is_said_is_quoted_with_its_span():
    asked = answers("speech", clip(0, speech="Hello there."), clip(1))
    assert asked == {"What is said from 0.0 to 4.0 s?": "“Hello there.”"}


def test_the_length_is_that_of_a_span_between_cuts():
    uncut = clip(1, speech=None)
    dissolved = ClipFacts(**{**vars(uncut), "boundary": "dissolve"})
    assert list(answers("length", clip(0), uncut).values()) == ["4.0 seconds: the next cut is at 4.0 s."]
    assert answers("length", clip(0), dissolved) == {}


def test_a_region_s_places_are_told_in_their_order():
    frames = [[region("a round red region", place)] for place in ("at the top", "at the top", "near the centre")]
    assert answers("detail", clip(0, *frames)) == {
        "Where in the picture is the round red region from 0.0 to 4.0 s?": "At the top, then near the centre."
    }
    two = [[region("two round red regions", "", count=2)]] * 2
    assert answers("detail", clip(0, *two)) == {}


def test_a_long_video_is_divided_into_stretches_without_losing_a_clip():
    clips = [clip(number) for number in range(3 * MAX_CLIPS + 1)]
    divided = list(stretches(clips))
    assert [clip for stretch in divided for clip in stretch] == clips
    assert [len(stretch) for stretch in divided] == [MAX_CLIPS, MAX_CLIPS, MAX_CLIPS, 1]
    long_clips = [clip(number, seconds=100.0) for number in range(4)]
    assert [len(stretch) for stretch in stretches(long_clips)] == [1, 1, 1, 1]
