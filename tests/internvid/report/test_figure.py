"""The figure of clips: its page as a browser parses it, and the pixels of its picture."""

from __future__ import annotations

import io
import re

import cv2
import numpy as np
import pytest
from PIL import Image

from internvid.captions.words import nouns_and_verbs, tagged_words
from internvid.report.figure import figure_html, figure_png, undrawn
from internvid.report.fonts import scripts_of
from internvid.report.shown_clips import ShownClip, caption_runs, spoken

ENGLISH = "A person is cooking rice in the dog's <b>pan</b>, and doesn't fall."
NASTY = "<script>alert(1)</script> & {{ 7*7 }} <img src=http://evil.example/x onerror=alert(1)>"
BLUE, GREEN = (31, 95, 191), (28, 122, 60)


def jpeg(width: int = 320, height: int = 180) -> bytes:
    return cv2.imencode(".jpg", np.full((height, width, 3), 200, np.uint8))[1].tobytes()


def clip(caption: str, **more: str | None) -> ShownClip:
    return ShownClip("v_0_9", "street.mp4", 0.0, 3.0, caption, "model", [jpeg()] * 3, **more)


def colours(png: bytes) -> set[tuple[int, ...]]:
    return set(map(tuple, np.array(Image.open(io.BytesIO(png))).reshape(-1, 3).tolist()))


def test_every_noun_and_verb_is_marked_where_it_stands_and_the_caption_stays_whole():
    runs = list(caption_runs(ENGLISH))
    assert "".join(text for text, _ in runs) == ENGLISH
    marked = {part: [text for text, of_run in runs if of_run == part] for part in ("noun", "verb")}
    assert {"person", "rice", "dog", "pan"} <= set(marked["noun"])
    assert marked["verb"] == ["cooking", "fall"]
    words = nouns_and_verbs(ENGLISH)
    tagged = tagged_words(ENGLISH)
    assert words.nouns == list(dict.fromkeys(word.lemma for word in tagged if word.part == "noun"))
    assert words.verbs == list(dict.fromkeys(word.lemma for word in tagged if word.part == "verb"))


def test_a_language_without_tagger_is_shown_without_colours():
    assert list(caption_runs("一个穿红色衣服的男人在踢足球")) == [("一个穿红色衣服的男人在踢足球", None)]
    assert list(caption_runs("")) == []


def test_the_page_escapes_every_text_and_loads_nothing():
    shown = ShownClip("v", NASTY, 0, 1, NASTY, NASTY, [jpeg(), b"no picture"], [NASTY], NASTY, "xx", None, NASTY)
    page = figure_html([shown], title=NASTY)
    assert not re.search(r"<(script|link|iframe|object|form)\b|<[^>]*\bonerror|evil\.example/x[^&]*>", page)
    assert "{{ 7*7 }}" in page.replace('<span class="noun">', "").replace("</span>", "")
    assert all(source.startswith("data:image/jpeg;base64,") for source in re.findall(r'src="([^"]*)"', page))
    assert "default-src 'none'" in page


def test_the_page_has_the_speech_with_its_english_beneath():
    shown = clip("A dog runs.", speech="Der Hund läuft schnell.", language="de", english="The dog runs fast.")
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", figure_html([shown], title="")))
    assert "A dog runs . Speech (German) Der Hund läuft schnell. English The dog runs fast. street.mp4" in page
    assert spoken(clip("a", speech="Hello.", language="en", english="Hello.")) == [("Speech (English)", "Hello.")]
    assert spoken(clip("a", speech="Ciao.", language="it", why_no_english="no translator")) == [
        ("Speech (Italian)", "Ciao."),
        ("English", "(no translator)"),
    ]
    assert spoken(clip("a")) == []


def test_the_picture_has_nouns_in_blue_and_verbs_in_green():
    seen = colours(figure_png([clip("A person is cooking rice.")]))
    assert {BLUE, GREEN} <= seen
    seen = colours(figure_png([clip("")]))
    assert not {BLUE, GREEN} & seen


def test_a_picture_is_as_high_as_its_texts_whatever_they_are():
    sizes = [
        Image.open(io.BytesIO(figure_png([clip(caption)]))).size
        for caption in ("A dog.", "A dog. " * 60, "x" * 900, "人" * 300)
    ]
    assert {width for width, _ in sizes} == {1200}
    assert all(height > sizes[0][1] for _, height in sizes[1:])


def test_frames_that_cannot_be_read_and_upright_ones_leave_a_picture():
    broken = ShownClip("v", "a.mp4", 0, 1, "A dog.", "m", [b"", b"no picture"])
    upright = ShownClip("v", "a.mp4", 0, 1, "A dog.", "m", [jpeg(90, 160)] * 3)
    assert Image.open(io.BytesIO(figure_png([broken, upright]))).size[0] == 1200


@pytest.mark.parametrize(("text", "scripts"), [("Ünal شخص Γάτα Кот", []), ("dog \ue000\U000e0041", [])])
def test_scripts_of_the_shipped_font_are_drawn(text: str, scripts: list[str]):
    assert scripts_of(undrawn(clip(text))) == scripts


def test_characters_that_no_font_has_are_named():
    # Linear A: no font of a usual machine has it.
    assert scripts_of(undrawn(clip("a \U00010600 dog", speech="\U00010601"))) == ["LINEAR"]
