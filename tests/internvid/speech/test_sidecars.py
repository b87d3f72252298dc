"""Which subtitle files belong to a video, and the tags in their names."""

import os
from pathlib import Path

import pytest

from internvid.speech.language import language_code, language_of
from internvid.speech.sidecars import NameTags, SidecarFinder, tags_in_name


def test_files_that_are_named_like_the_video_belong_to_it(tmp_path: Path) -> None:
    videos = ["video.mp4", "video.2.mp4", "other [dQw4w9WgXcQ].webm", "alone.mp4", "It.mp4"]
    beside = {
        "video.mp4": ["video.en-orig.json3", "video.en.vtt", "video.mp4.de.srt", "video.srt"],
        "video.2.mp4": ["video.2.SRT", "video.2.en.vtt"],
        "other [dQw4w9WgXcQ].webm": ["other [dQw4w9WgXcQ].fr.ass"],
        "alone.mp4": [],
        "It.mp4": ["It.it.srt"],
    }
    strangers = ["video.txt", ".video.srt", "filmed.srt", "video.en.vtt.part", "another.srt"]
    for name in [*videos, *strangers, *(name for names in beside.values() for name in names)]:
        (tmp_path / name).touch()
    finder = SidecarFinder(lambda name: name.endswith((".mp4", ".webm")))
    assert {name: [file.name for file in finder.subtitle_files(tmp_path / name)] for name in videos} == beside


@pytest.mark.parametrize(
    ("video", "subtitles", "tags"),
    [
        ("video.mp4", "video.srt", NameTags(None, False, False, False)),
        ("video.mp4", "video.en.vtt", NameTags("en", False, False, False)),
        ("video.mp4", "video.mp4.ger.srt", NameTags("de", False, False, False)),
        ("video [a].webm", "video [a].en-US.vtt", NameTags("en", False, False, False)),
        ("video.mp4", "video.en-orig.json3", NameTags("en", True, True, False)),
        ("video.mp4", "video.auto.de.vtt", NameTags("de", False, True, False)),
        ("video.mp4", "video.en.forced.srt", NameTags("en", False, False, True)),
        ("video.mp4", "video.sdh.srt", NameTags(None, False, False, False)),
        ("video.mp4", "video.English.ass", NameTags("en", False, False, False)),
        ("man.it.mp4", "man.it.srt", NameTags(None, False, False, False)),  # the tag is the video's
        ("video.mp4", "video.zh-Hans.srt", NameTags("zh", False, False, False)),
    ],
)
def test_a_name_tells_the_language_and_how_they_were_made(video: str, subtitles: str, tags: NameTags) -> None:
    assert tags_in_name(video, subtitles) == tags


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


def test_what_is_no_file_is_no_subtitles(tmp_path):
    (tmp_path / "a.mp4").touch()
    os.mkfifo(tmp_path / "a.en.srt")
    (tmp_path / "a.de.srt").mkdir()
    (tmp_path / "a.fr.srt").touch()
    found = SidecarFinder(lambda name: name.endswith(".mp4")).subtitle_files(tmp_path / "a.mp4")
    assert [path.name for path in found] == ["a.fr.srt"]
