"""Nouns and verbs of captions as a reader would list them."""

from __future__ import annotations

import pytest

from internvid.captions.words import Words, nouns_and_verbs


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("a person cooking some food in a frying pan.", Words(9, ["person", "food", "frying", "pan"], ["cook"])),
        ("Two men are playing soccer on a green field.", Words(9, ["man", "soccer", "field"], ["play"])),
        ("A woman's dog doesn't run.", Words(5, ["woman", "dog"], ["run"])),
        ("The camera turns right while something moves to the left.", Words(10, ["camera", "left"], ["turn", "move"])),
        (
            "A bright, mostly blue picture with one face near the centre and text at the bottom.",
            Words(16, ["picture", "face", "centre", "text", "bottom"], []),
        ),
        ("Nothing moves.", Words(2, [], ["move"])),
        ("A dog. A dog runs; the dogs ran!", Words(8, ["dog"], ["run"])),
        ("It is dark and they have been there.", Words(8, [], [])),
        ("", Words(0, [], [])),
        (" — … ", Words(0, [], [])),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_nouns_and_verbs_are_lemmas_once_in_order(caption, words):
    assert nouns_and_verbs(caption) == words


def test_numbers_and_foreign_writing_do_no_harm():
    assert nouns_and_verbs("名前 2 x 3.5 mm naïve").word_count == 6
