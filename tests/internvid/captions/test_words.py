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


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        (
            "Ein Mann spielt Fußball im Park und ist gelaufen.",
            Words(9, ["mann", "fußball", "park"], ["spielen", "laufen"]),
        ),
        ("Ein Hund läuft", Words(3, ["hund"], ["laufen"])),
        (
            "Een man speelt voetbal in het park en heeft gelopen.",
            Words(10, ["man", "voetbal", "park"], ["spelen", "lopen"]),
        ),
    ],
)
def test_german_and_dutch_have_their_own_grammar(caption, words):
    assert nouns_and_verbs(caption) == words


@pytest.mark.parametrize(
    ("caption", "count", "language"),
    [
        ("一个穿红色衣服的男人在踢足球", None, "Chinese"),
        ("狗", None, "Chinese"),
        ("男の人が公園でサッカーをしている", None, "Japanese"),
        ("한 남자가 공원에서 축구를 하고 있다", 6, "Korean"),
        ("ผู้ชายเล่นฟุตบอลในสวน", None, "Thai"),
        ("Мужчина играет в футбол", 4, "Russian"),
        ("رجل يلعب كرة القدم في الحديقة", 6, "Arabic"),
        ("एक आदमी पार्क में फुटबॉल खेल रहा है", 8, "Hindi"),
        ("Un homme joue au football dans le parc", 8, "French"),
        ("Mężczyzna gra w piłkę", 4, "Polish"),
        ("Một người đàn ông đang đá bóng", 7, "Vietnamese"),
    ],
)
def test_no_caption_is_read_by_another_languages_grammar(caption, count, language):
    assert nouns_and_verbs(caption) == Words(count, None, None, f"there is no tagger for {language}")


@pytest.mark.parametrize(
    "caption",
    ["a llama", "pizza", "A dog runs.", "person riding bike", "guy dances salsa", "karate kata demonstration"],
)
def test_short_captions_are_english(caption):
    assert nouns_and_verbs(caption).why_no_words is None


def test_numbers_and_foreign_writing_do_no_harm():
    assert nouns_and_verbs("名前 2 x 3.5 mm naïve").word_count == 6
