"""Division of the words of a cue among clips."""

import pytest

from internvid.speech.cues import Cue
from internvid.speech.division import words_within

CLIPS = [(0.0, 2.0), (2.0, 5.0), (5.0, 9.0)]


def in_clips(cue: Cue) -> list[str]:
    return [words_within(cue, start, end) for start, end in CLIPS]


def test_a_cue_within_a_clip_is_that_clips() -> None:
    assert in_clips(Cue(2.5, 4.5, "Add the onions, and stir.")) == ["", "Add the onions, and stir.", ""]


@pytest.mark.parametrize("late", [-0.05, -0.02, 0.0, 0.02, 0.05])
@pytest.mark.parametrize("text", ["Yes!", "Add the onions.", "Add the onions, and stir until they are soft."])
def test_a_cue_that_misses_a_cut_by_up_to_50_ms_stays_whole(late: float, text: str) -> None:
    assert in_clips(Cue(2.0 + late, 5.0 + late, text)) == ["", text, ""]
    assert in_clips(Cue(2.0 + late, 2.4 + late, text)) == ["", text, ""]
    assert in_clips(Cue(4.6 + late, 5.0 + late, text)) == ["", text, ""]


def test_a_cue_across_a_cut_is_divided_where_it_is() -> None:
    assert in_clips(Cue(1.0, 3.0, "aaaa bbbb cccc dddd")) == ["aaaa bbbb", "cccc dddd", ""]
    assert in_clips(Cue(0.0, 9.0, "one two three four five six seven eight nine")) == [
        "one two",
        "three four five",
        "six seven eight nine",
    ]


def test_languages_without_spaces_are_divided_between_characters() -> None:
    assert in_clips(Cue(1.0, 3.0, "今日は、料理を。")) == ["今日は、", "料理を。", ""]


def test_each_word_is_in_exactly_one_of_the_clips_that_tile_a_video() -> None:
    text = "every word of this is said once, and in one clip only, however the cuts fall"
    for start in (0.0, 0.7, 1.9, 4.99):
        for seconds in (0.3, 1.0, 3.9):
            assert " ".join(filter(None, in_clips(Cue(start, start + seconds, text)))) == text


def test_what_is_said_after_the_last_clip_is_in_none() -> None:
    assert in_clips(Cue(9.0, 12.0, "the end")) == ["", "", ""]
    assert in_clips(Cue(8.0, 10.0, "the end")) == ["", "", "the"]
