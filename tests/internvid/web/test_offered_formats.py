"""Which of a site's formats are taken, and when larger ones are withheld."""

from typing import Any

import pytest

from internvid.web.offered_formats import below_available, prefer_original, sound_language
from internvid.web.settings import DownloadSettings


def picture(side: int, name: str | None = None, **more: Any) -> dict[str, Any]:
    format_id = name or f"v{side}"
    return {"format_id": format_id, "url": f"https://example.com/{format_id}", "ext": "mp4", "protocol": "https"} | {
        **{"vcodec": "avc1", "acodec": "none", "width": side * 16 // 9, "height": side},
        **more,
    }


def sound(name: str, **more: Any) -> dict[str, Any]:
    of_all = {"ext": "m4a", "protocol": "https", "vcodec": "none", "acodec": "mp4a"}
    return {"format_id": name, "url": f"https://example.com/{name}"} | of_all | more


def youtube(*formats: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"extractor": "youtube", "id": "x", "title": "x", "formats": list(formats)} | more


LEGACY = picture(360, "18", acodec="mp4a")


def chosen(info: dict[str, Any]) -> dict[str, Any]:
    """The info with the formats that are chosen, as a session of yt-dlp does it."""
    from internvid.web.session import Session

    with Session(DownloadSettings()) as session:
        prefer_original(info)
        return session.sanitize_info(session.process_ie_result(info, download=False))


@pytest.mark.parametrize(
    ("taken", "info", "warnings", "why"),
    [
        ([LEGACY], youtube(LEGACY), [], "nothing but format 18"),
        ([LEGACY], youtube(LEGACY, picture(360), picture(720)), [], "its site lists 720"),
        ([picture(480)], youtube(picture(480), picture(720), picture(1080)), [], "its site lists 720"),
        ([picture(360)], youtube(picture(360)), ["Some web client https formats have been skipped"], "yt-dlp warns"),
        ([picture(360)], youtube(picture(360)), ["n challenge solving failed: Some formats may be missing"], "warns"),
        ([picture(360)], youtube(picture(360)), [], None),
        ([LEGACY], youtube(LEGACY, picture(360)), [], None),  # an old video: there never was a larger one
        ([picture(720)], youtube(picture(720), picture(1080)), ["Some formats may be missing"], None),
        ([picture(1080)], youtube(picture(1080)), [], None),
        ([picture(360)], {"extractor": "vimeo", "formats": [picture(360)]}, ["Some formats may be missing"], None),
        ([picture(360)], {"extractor": "vimeo", "formats": [picture(360), picture(540)]}, [], "its site lists 540"),
        ([{"url": "x"}], {"extractor": "generic", "formats": [{"url": "x"}]}, [], None),
    ],
)
def test_a_picture_that_is_smaller_than_it_should_be_is_told(taken, info, warnings, why):
    found = below_available(info | {"requested_formats": taken}, warnings, 720)
    assert (found is None) if why is None else why in found


@pytest.mark.parametrize(
    ("sounds", "language"),
    [
        (
            [sound("de", language="de", language_preference=10), sound("en", language="en", language_preference=-1)],
            "de",
        ),
        ([sound("en", language="en", abr=256), sound("ja", language="ja", abr=64)], "ja"),  # the video is Japanese
        ([sound("en", language="en", format_note="English dubbed, default"), sound("fr", language="fr")], "fr"),
        ([sound("a", language="en-desc", format_note="English descriptive"), sound("b", language="en")], "en"),
        ([sound("a", language="es", abr=256), sound("b", language="it", format_note="Italian original", abr=64)], "it"),
    ],
)
def test_the_original_sound_is_taken_and_its_language_is_known(in_child, sounds, language):
    info = youtube(picture(720), *sounds, language="ja")
    assert sound_language(in_child(chosen, info)) == language


def test_the_original_language_comes_before_a_larger_picture(in_child):
    dubbed = picture(720, "en", acodec="mp4a", language="en", language_preference=-1)
    original = picture(480, "de", acodec="mp4a", language="de", language_preference=10)
    info = in_child(chosen, youtube(dubbed, original))
    assert (info["format_id"], sound_language(info)) == ("de", "de")
