"""Long texts and lists, in parts that fit."""

from __future__ import annotations

from itertools import pairwise

import pytest

from internvid.text.splitting import sentences, split_into_runs, split_text


@pytest.mark.parametrize("limit", [3, 4, 7, 100])
def test_pieces_in_runs_keep_their_order_and_each_run_is_as_long_as_it_can_be(limit):
    pieces = [1, 2, 3, 1, 1, 2, 2, 3, 3, 1]
    runs = split_into_runs(pieces, lambda run: sum(run) <= limit)
    assert [piece for run in runs for piece in run] == pieces
    assert all(sum(run) <= limit for run in runs)
    assert all(sum(run) + following[0] > limit for run, following in pairwise(runs))


def test_a_piece_that_does_not_fit_by_itself_is_an_error():
    with pytest.raises(ValueError, match="does not fit by itself: 9"):
        split_into_runs([1, 9, 1], lambda run: sum(run) < 5)


@pytest.mark.parametrize(
    ("text", "language", "parts"),
    [
        ("One. Two is here. Three.", "en", ["One. Two is here.", "Three."]),
        ("short", "en", ["short"]),
        ("no stop in a long sentence that goes on", "en", ["no stop in a long", "sentence that", "goes on"]),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b", "en", ["a" * 17, "a" * 17, "a b"]),
        (
            "今日は天気がいいです。明日は雨が降るでしょう。",
            "ja",
            ["今日は天気がいいです。", "明日は雨が降るでしょう。"],
        ),
    ],
    ids=["sentences", "fits", "words", "characters", "without spaces"],
)
def test_a_text_is_split_where_it_hurts_least(text, language, parts):
    assert split_text(text, lambda part: len(part) <= 17, language) == parts


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Er wohnt z.B. in Köln. Dr. Maier auch.", "de", 2),
        ("Mr. Smith has 3.5 dogs. They bark!", "en", 2),
        ("مرحبا بك. كيف حالك؟ بخير.", "ar", 3),
        ("no stop at all", "xx", 1),
    ],
)
def test_sentences_joined_are_the_text(text, language, expected):
    parts = sentences(text, language)
    assert "".join(parts) == text
    assert len(parts) == expected
