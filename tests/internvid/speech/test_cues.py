"""Cleaning of cues: order, durations, overlaps, markup, rolling lines."""

import math
import time

import pytest

from internvid.speech.cues import Cue, RawCue, plain_lines, tidy_cues


def cues(*raw: tuple[float | None, float | None, str], **settings: object) -> list[tuple[float, float, str]]:
    clean, _ = tidy_cues([RawCue(*values) for values in raw], **settings)
    return [(cue.start_seconds, cue.end_seconds, cue.text) for cue in clean]


@pytest.mark.parametrize(
    ("marked", "lines"),
    [
        ("<i>Hello</i> <b>there</b>", ["Hello there"]),
        ('<font color="#fff" size=3>white</font>', ["white"]),
        ("<v Mary>I say <c.loud>no</c></v>", ["I say no"]),
        ("one<00:00:01.234><c> two</c>", ["one two"]),
        (r"{\an8}{\fad(200,200)}up\Nhere", ["up", "here"]),
        (r"{\p1}m 0 0 l 100 0 100 100{\p0}", []),
        ("Tom &amp; Jerry&#39;s &lt;3&nbsp;house", ["Tom & Jerry's <3 house"]),
        ("1 < 2 and 3 > 2", ["1 < 2 and 3 > 2"]),
        ("zero\u200bwidth \ufeffmarks\x00", ["zerowidth marks"]),
        ("  many   spaces \n\n \n and lines ", ["many spaces", "and lines"]),
        ("{not a tag} stays", ["{not a tag} stays"]),
    ],
)
def test_markup_goes_and_words_stay(marked: str, lines: list[str]) -> None:
    assert plain_lines(marked) == lines


def test_cues_in_wrong_order_come_in_order_of_time() -> None:
    assert cues((5, 6, "second"), (1, 2, "first"), (5, 5.5, "third")) == [
        (1, 2, "first"),
        (5, 6, "second"),
        (5, 5.5, "third"),
    ]


@pytest.mark.parametrize("end", [None, math.nan, math.inf, 1.0, 0.5, -3.0])
def test_a_cue_without_an_end_after_its_start_ends_when_it_is_read_and_before_the_next(end: float | None) -> None:
    thirty_letters = "thirty letters are read in 2 s"
    assert cues((1, end, thirty_letters)) == [(1, 3, thirty_letters)]
    assert cues((1, end, "short"), (1.25, 2, "next")) == [(1, 1.25, "short"), (1.25, 2, "next")]
    assert cues((1, end, "short"), (1, 2, "at once"))[0] == (1, 2, "short")


def test_a_cue_without_a_start_goes_and_one_that_begins_too_early_is_cut_off() -> None:
    raw = [(None, 2, "never"), (math.nan, 2, "nor this"), (-5, -4, "before the video"), (-1, 1, "into it")]
    assert cues(*raw) == [(0, 1, "into it")]
    assert cues((1, 2, "a"), (3, 5, "b"), shift_seconds=-3.5) == [(0, 1.5, "b")]


def test_two_may_speak_at_once_unless_a_machine_heard_them() -> None:
    both = [(1, 4, "one speaks"), (2, 3, "and another")]
    assert cues(*both) == both
    assert cues(*both, may_overlap=False) == [(1, 2, "one speaks"), (2, 3, "and another")]


def test_sounds_are_not_said() -> None:
    raw = [
        (1, 2, "[Music]"),
        (2, 3, "♪♪"),
        (3, 4, "(door slams) -"),
        (4, 5, "[laughs] Come in"),
        (5, 6, "♪ la la ♪"),
    ]
    assert [text for *_, text in cues(*raw)] == ["[laughs] Come in", "♪ la la ♪"]


ROLLING = [
    (0.16, 2.869, "hello everyone"),
    (2.869, 2.879, "hello everyone"),
    (2.879, 5.0, "hello everyone\nwelcome to my"),
    (5.0, 5.01, "welcome to my"),
    (5.01, 9.0, "welcome to my\nchannel"),
]


def test_of_lines_that_roll_each_is_kept_where_it_is_new() -> None:
    assert cues(*ROLLING) == [(0.16, 2.869, "hello everyone"), (2.879, 5.0, "welcome to my"), (5.01, 9.0, "channel")]
    assert tidy_cues([RawCue(*values) for values in ROLLING])[1]


def test_a_rolling_line_that_returns_after_a_break_is_said_again() -> None:
    again = [*ROLLING, (20, 22, "channel")]
    assert cues(*again)[-1] == (20, 22, "channel")


def test_what_people_say_twice_is_kept_twice() -> None:
    raw = [(1, 2, "No."), (2, 3, "No."), (4, 5, "Why?"), (5, 6, "I said no."), (6, 7, "Oh."), (8, 9, "Yes.")]
    assert cues(*raw) == raw
    assert not tidy_cues([RawCue(*values) for values in raw])[1]


def test_the_same_words_at_overlapping_times_are_said_once() -> None:
    layers = [(1, 3, "sign"), (1, 3, "sign"), (2, 4, "sign"), (5, 6, "sign")]
    assert cues(*layers) == [(1, 4, "sign"), (5, 6, "sign")]


@pytest.mark.slow
def test_a_day_of_cues_takes_a_moment() -> None:
    raw = [RawCue(number * 0.5, None, f"line {number}\nline {number + 1}") for number in range(100_000)]
    started = time.process_time()
    clean, is_rolling = tidy_cues(raw)
    assert time.process_time() - started < 20
    assert is_rolling
    assert clean[1] == Cue(0.5, 1.0, "line 2")
    assert len(clean) == 100_000
