"""Judges the formats that a site offers of a video: which has the original sound, whether larger ones are withheld."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from internvid.speech.language import language_code

# What yt-dlp warns of where YouTube keeps formats from a client: no proof of its origin, or streams of its own
# protocol.
_WITHHELD = re.compile(
    r"formats? .*(?:missing|skipped|unavailable)|missing a url|SABR|PO Token|only images are available|"
    r"(?:nsig|signature|n challenge).*(?:fail|unable)",
    re.IGNORECASE,
)
_LEGACY = "18"  # YouTube's last format with picture and sound in one file, 360p: every video has others beside it
_ORIGINAL, _DUBBED = 10, -10  # as yt-dlp ranks languages
_IS_ORIGINAL = re.compile(r"\boriginal\b", re.IGNORECASE)
_IS_DUBBED = re.compile(r"\bdub|descri(?:ptive|ption|bed)|commentary", re.IGNORECASE)


def prefer_original(info: Mapping[str, Any]) -> None:
    """Ranks the formats by language, where the site's part of yt-dlp did not: first the video's own, dubs last."""
    formats = [form for form in info.get("formats") or () if isinstance(form, dict)]
    if any((form.get("language_preference") or -1) > 0 for form in formats):
        return
    spoken = language_code(str(info.get("language") or ""))
    for form in formats:
        note = " ".join(str(form.get(name) or "") for name in ("format_note", "format_id", "format"))
        language = language_code(str(form.get("language") or ""))
        if _IS_DUBBED.search(note):
            form["language_preference"] = _DUBBED
        elif _IS_ORIGINAL.search(note) or (spoken and language == spoken):
            form["language_preference"] = _ORIGINAL


def sound_language(info: Mapping[str, Any]) -> str | None:
    """The language of the sound that is fetched, as the site states it. info: with the chosen formats."""
    chosen = info.get("requested_formats") or [info]
    sounds = [form.get("language") for form in chosen if form.get("acodec") not in (None, "none")]
    return next((str(language) for language in sounds if language), None) or info.get("language") or None


def below_available(info: Mapping[str, Any], warnings: Iterable[str], max_short_side: int) -> str | None:
    """Says why a larger picture of the video should be there, up to max_short_side; None where there is no sign of one.

    info: of yt-dlp, with the chosen formats.
    """
    pictures = [form for form in info.get("requested_formats") or [info] if form.get("vcodec") != "none"]
    taken = max((side for form in pictures if (side := _short_side(form))), default=0)
    if not taken or taken >= max_short_side:
        return None
    offered = [form for form in info.get("formats") or () if form.get("vcodec") != "none" and _short_side(form)]
    largest = max((side for form in offered if (side := _short_side(form)) <= max_short_side), default=0)
    if largest > taken:
        return f"{taken} pixels on its shorter side were fetched, and its site lists {largest}"
    if str(info.get("extractor") or "").startswith("youtube"):
        if {str(form.get("format_id")) for form in [*offered, *pictures]} == {_LEGACY}:
            return f"YouTube offered nothing but format {_LEGACY}, {taken} pixels on its shorter side"
        if withheld := next((text for text in warnings if _WITHHELD.search(text)), None):
            return f"{taken} pixels on its shorter side were fetched, and yt-dlp warns: {withheld[:500]}"
    return None


def _short_side(form: Mapping[str, Any]) -> int:
    sides = [side for side in (form.get("width"), form.get("height")) if isinstance(side, int) and side > 0]
    return min(sides, default=0)
