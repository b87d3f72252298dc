"""Query plans: the formats of phrase files, the searches made from them, and those that are refused."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from internvid.web.queries import Phrase, Query, alternatives, plan, read_phrases, refusal


def searches(queries: Iterable[Query]) -> list[tuple[str, str | None, str]]:
    return [(query.words, query.category, query.language) for query in queries]


# --- files ----------------------------------------------------------------------------------------------------------


def test_the_released_form_gives_english_and_chinese_of_one_row(tmp_path: Path):
    released = tmp_path / "queries.jsonl"
    rows = [{"search_word_id": "open/close door", "search_word": "打开门"}, {"search_word_id": "slide-along"}]
    released.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")

    assert list(plan(read_phrases(released))) == [
        Query("open door", "open/close door", None, "en", 1),
        Query("close door", "open/close door", None, "en", 2),
        Query("打开门", "open/close door", None, "zh", 3),
        Query("slide along", "slide-along", None, "en", 4),
    ]


def test_a_text_file_has_a_phrase_a_line_and_comments(tmp_path: Path):
    file = tmp_path / "phrases.txt"
    file.write_bytes("\ufeff# verbs\r\nride a bike\r\n\r\n  peel   potatoes \r\nplay C# chords\r\n".encode())

    phrases = list(read_phrases(file, language="en"))

    assert [phrase.text for phrase in phrases] == ["ride a bike", "peel potatoes", "play C# chords"]


def test_columns_named_by_a_language_hold_translations_and_empty_cells_none(tmp_path: Path):
    file = tmp_path / "phrases.csv"
    file.write_text(
        'number,phrase,de,ja,note\n1,"peel, slice potatoes",Kartoffeln schälen,,x\n2,swim,,泳ぐ,y\n', "utf-8"
    )

    assert list(read_phrases(file)) == [
        Phrase("peel, slice potatoes", "en", {"de": "Kartoffeln schälen"}),
        Phrase("swim", "en", {"ja": "泳ぐ"}),
    ]


def test_a_column_id_is_indonesian_only_where_that_is_asked_for(tmp_path: Path):
    file = tmp_path / "phrases.tsv"
    file.write_text("id\tquery\nberenang\tswim\n")

    assert searches(plan(read_phrases(file))) == [("swim", None, "en")]
    assert searches(plan(read_phrases(file), languages=["id"])) == [("berenang", None, "id")]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "words,de\nswim,schwimmen\n", "a.csv:2: no column search_word_id, phrase or query with text"),
        ("a.csv", "phrase,de\nswim,schwimmen\n ,gehen\n", "a.csv:3: phrase is empty"),
        ("a.csv", "phrase\nswim,walk\n", "a.csv:2: it has 2 cells, the header names 1"),
        ("a.csv", 'phrase\n"swim\n', "a.csv:2: not readable as csv: unexpected end of data"),
        ("a.jsonl", '{"phrase": "swim"}\n{"phrase": \n', "a.jsonl:2: not JSON"),
        ("a.jsonl", '"swim"\n', "a.jsonl:1: not a JSON object"),
        ("a.jsonl", '{"phrase": 5}\n', "a.jsonl:1: no column"),
        ("a.csv", "phrase\n", "a.csv holds no phrase"),
        ("a.csv", "", "a.csv is empty"),
        ("a.txt", b"swim\nl\xe4uft\n", "a.txt:2: it is not UTF-8: save the file as UTF-8"),
        ("a.txt", "# nothing\n", "holds no phrase"),
        ("a.doc", "swim", "has to end in .txt, .csv, .tsv or .jsonl"),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_why(tmp_path: Path, name: str, text: str | bytes, message: str):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        list(read_phrases(tmp_path / name))


# --- plans ----------------------------------------------------------------------------------------------------------


def test_a_plan_is_phrases_by_categories_by_languages_where_a_translation_is_there():
    phrases = [Phrase("swim", "en", {"de": "schwimmen", "fr": "nager"}), Phrase("walk", "en", {"fr": "marcher"})]
    categories = [Phrase("sports", "en", {"de": "Sport"}), Phrase("comedy")]

    assert searches(plan(phrases, categories, languages=["en", "de"])) == [
        ("swim sports", "sports", "en"),
        ("schwimmen Sport", "Sport", "de"),
        ("swim comedy", "comedy", "en"),
        ("schwimmen", None, "de"),  # no German word for the category
        ("walk sports", "sports", "en"),
        ("walk comedy", "comedy", "en"),
    ]


def test_a_search_is_planned_once_however_often_it_is_made():
    phrases = [
        Phrase("Open Door"),
        Phrase("open/close  door"),
        Phrase("open-door"),
        Phrase("yoga", "en", {"de": "yoga"}),
    ]

    made = list(plan(phrases))

    assert searches(made) == [
        ("Open Door", None, "en"),
        ("close door", None, "en"),
        ("yoga", None, "en"),
    ]
    assert [query.number for query in made] == [1, 2, 3]


@pytest.mark.parametrize(
    ("phrase", "made"),
    [
        ("open/close door", ["open door", "close door"]),
        (
            "open / close sliding/hinged door",
            ["open sliding door", "open hinged door", "close sliding door", "close hinged door"],
        ),
        ("seal-with", ["seal with"]),
        ("-shirt off", ["shirt off"]),
        ("/run", ["run"]),
        ("打开/关闭", ["打开", "关闭"]),
    ],
)
def test_slashes_make_alternatives_and_hyphens_spaces(phrase: str, made: list[str]):
    assert alternatives(phrase) == made


def test_a_phrase_of_too_many_alternatives_or_of_no_word_is_an_error():
    with pytest.raises(ValueError, match="125 alternatives: divide it"):
        list(plan([Phrase("a/b/c/d/e a/b/c/d/e a/b/c/d/e")]))
    with pytest.raises(ValueError, match="'/ -' has no word"):
        list(plan([Phrase("/ -")]))


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phrase", "words"),
    [
        ("commit suicide", "suicide"),
        ("Committing Suicides", "suicides"),
        ("self-harm", "self harm"),
        ("hanging herself", "hanging herself"),
        ("cut one's wrists", "cut wrists"),
        ("killing people", "killing people"),
        ("kill the man", "kill man"),
        ("shoot at a woman", "shoot woman"),
        ("point a loaded gun at the crowd", "point loaded gun crowd"),
        ("stabbing", "stabbing"),
        ("drowned a child", "drowned child"),
        ("have sex", "sex"),
        ("watch PORN", "porn"),
        ("看人自杀", "自杀"),
    ],
)
def test_unsafe_phrases_are_refused_with_the_words_that_did_it(phrase: str, words: str):
    (query,) = plan([Phrase(phrase)])
    assert query.refused == f"unsafe words: {words}"


@pytest.mark.parametrize(
    "phrase",
    [
        *("kill time", "kill weeds", "killer whale", "shoot basketball", "shot put", "hang picture", "hang clothes"),
        *("cut hair", "slice bread", "beat eggs", "strip paint", "punch person", "body slam", "stabilize camera"),
        *("Essex", "sextant", "grape picking", "scrape pan", "rapper", "make bath bomb", "point at picture", "knife"),
        *("execute order", "take selfie", "therapist", "assemble furniture", "drown out noise", "go to class"),
    ],
)
def test_phrases_that_only_look_so_are_not_refused(phrase: str):
    assert refusal(phrase) is None


def test_what_is_refused_in_one_language_is_refused_in_all_and_only_that_alternative_in_its_own():
    refused = {query.words: query.refused for query in plan([Phrase("kill time/people", "en", {"fr": "tuer"})])}
    assert refused == {
        "kill time": None,
        "kill people": "unsafe words: kill people",
        "tuer": "unsafe words: kill people",
    }


def test_a_category_can_make_a_phrase_unsafe():
    made = plan([Phrase("dance")], [Phrase("striptease"), Phrase("ballet")])
    assert [(query.words, query.refused) for query in made] == [
        ("dance striptease", "unsafe words: striptease"),
        ("dance ballet", None),
    ]
