"""Word clouds: their words, their places, and what a browser reads of them."""

from __future__ import annotations

import re

import pytest

from internvid.report.word_cloud import CloudWord, stopwords_of, word_cloud


def texts(svg: str) -> list[tuple[int, str]]:
    """Returns (height of the letters, word), the largest first."""
    sizes = re.findall(r'<text x="\d+" y="\d+" font-size="(\d+)" class="\w+">([^<]*)</text>', svg)
    return sorted(((int(points), word) for points, word in sizes), reverse=True)


def test_the_word_in_most_texts_is_the_largest_and_the_same_words_give_the_same_cloud():
    words = [CloudWord("man", 900), CloudWord("dog", 90), CloudWord("car", 9)]
    cloud = word_cloud(words, description="d")
    assert [word for _, word in texts(cloud)] == ["man", "dog", "car"]
    assert cloud == word_cloud(words, description="d")


def test_words_of_a_script_without_font_each_keep_a_place():
    # Linear A: every word has the measure of another one of as many letters.
    words = [CloudWord("".join(map(chr, (0x10600 + n, 0x10601 + n))), 50) for n in range(5)]
    assert {word for _, word in texts(word_cloud(words, description="d"))} == {word.word for word in words}


def test_words_and_descriptions_are_escaped():
    cloud = word_cloud([CloudWord("<b>&", 1, "noun")], description='"<i>')
    assert "&lt;b&gt;&amp;" in cloud
    assert "<b>" not in cloud
    assert 'aria-label="&#34;&lt;i&gt;"' in cloud
    with pytest.raises(ValueError, match="at least one word"):
        word_cloud([], description="d")


def test_words_that_say_nothing_are_known_by_language():
    assert {"the", "of"} <= stopwords_of("en")
    assert "und" in stopwords_of("de")
    assert stopwords_of("xx") == frozenset()
