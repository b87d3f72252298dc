"""Which subtitle files belong to a video, and what their names tell."""

from pathlib import Path

import pytest

from internvid.speech.language import language_code, language_of
from internvid.speech.sidecars import NameTells, SidecarFinder, name_tells


def test_files_that_are_named_like_the_video_belong_to_it(tmp_path: Path) -> None:
    videos = ["film.mp4", "film.2.mp4", "other [dQw4w9WgXcQ].webm", "alone.mp4", "It.mp4"]
    beside = {
        "film.mp4": ["film.en-orig.json3", "film.en.vtt", "film.mp4.de.srt", "film.srt"],
        "film.2.mp4": ["film.2.SRT", "film.2.en.vtt"],
        "other [dQw4w9WgXcQ].webm": ["other [dQw4w9WgXcQ].fr.ass"],
        "alone.mp4": [],
        "It.mp4": ["It.it.srt"],
    }
    strangers = ["film.txt", ".film.srt", "filmed.srt", "film.en.vtt.part", "another.srt"]
    for name in [*videos, *strangers, *(name for names in beside.values() for name in names)]:
        (tmp_path / name).touch()
    finder = SidecarFinder(lambda name: name.endswith((".mp4", ".webm")))
    assert {name: [file.name for file in finder.of(tmp_path / name)] for name in videos} == beside


@pytest.mark.parametrize(
    ("video", "subtitles", "tells"),
    [
        ("film.mp4", "film.srt", NameTells(None, False, False, False)),
        ("film.mp4", "film.en.vtt", NameTells("en", False, False, False)),
        ("film.mp4", "film.mp4.ger.srt", NameTells("de", False, False, False)),
        ("film [a].webm", "film [a].en-US.vtt", NameTells("en", False, False, False)),
        ("film.mp4", "film.en-orig.json3", NameTells("en", True, True, False)),
        ("film.mp4", "film.auto.de.vtt", NameTells("de", False, True, False)),
        ("film.mp4", "film.en.forced.srt", NameTells("en", False, False, True)),
        ("film.mp4", "film.sdh.srt", NameTells(None, False, False, False)),
        ("film.mp4", "film.English.ass", NameTells("en", False, False, False)),
        ("man.it.mp4", "man.it.srt", NameTells(None, False, False, False)),  # the tag is the film's
        ("film.mp4", "film.zh-Hans.srt", NameTells("zh", False, False, False)),
    ],
)
def test_a_name_tells_the_language_and_how_they_were_made(video: str, subtitles: str, tells: NameTells) -> None:
    assert name_tells(video, subtitles) == tells


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        *[("en", "en"), ("EN_us", "en"), ("eng", "en"), ("ger", "de"), ("fre", "fr"), ("cmn", "zh"), ("iw", "he")],
        *[("yue", "yue"), ("German", "de"), ("und", None), ("mul", None), ("", None), (None, None), ("qq", None)],
        ("not a tag", None),
    ],
)
def test_a_tag_names_a_language_by_its_iso_639_1_code(tag: str | None, code: str | None) -> None:
    assert language_code(tag) == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Hello everyone and welcome to my channel", "en"),
        ("Guten Morgen, wir kochen heute eine Suppe.", "de"),
        ("Bonjour à tous, bienvenue dans ma cuisine", "fr"),
        ("Привет всем, сегодня мы готовим суп", "ru"),
        ("こんにちは、今日は料理をします。よろしくお願いします。", "ja"),
        ("ok", None),
        ("1234 5678 1234 5678 1234 5678", None),
    ],
)
def test_a_text_tells_its_language_if_it_is_long_enough(text: str, code: str | None) -> None:
    assert language_of(text) == code
