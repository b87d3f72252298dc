"""Terms of scripts that write no spaces."""

import pytest

from internvid.text.search_terms import asked_terms, indexed_terms


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("A dog, to be.", "A dog, to be."),
        ("踢足球", "踢 足 球 踢足 足球"),
        ("3人 play サッカー", "3 人 play サ ッ カ ー サッ ッカ カー"),
        ("ﾃﾚﾋﾞ", "テ レ ビ テレ レビ"),
        ("เล่น", "เ ล่ น เล่ ล่น"),
        ("", ""),
    ],
)
def test_characters_are_indexed_singly_and_in_pairs(text, terms):
    assert indexed_terms(text) == terms


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("to be", [("to be", False)]),
        ("红", [("红", True)]),
        ("足球 dog", [("dog", False), ("足球", True)]),
        ("踢足球的男人在公园", [("踢足 足球 球的 的男 男人 人在 在公 公园", False)]),
        (" ", []),
    ],
)
def test_a_query_asks_for_pairs(text, asked):
    assert asked_terms(text) == asked
