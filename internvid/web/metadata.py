"""A video's metadata from its site: untrusted text is cleaned and cut, and impossible numbers are dropped."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from internvid.web.offered_formats import sound_language

_TITLE, _DESCRIPTION, _NAME, _ADDRESS = 1_000, 20_000, 200, 2_000  # characters kept
_MAX_TAGS = 500


def metadata(info: Mapping[str, Any], page_url: str, downloader: str) -> dict[str, Any]:
    """Returns the metadata columns. info: of yt-dlp. A value is None where the site does not say."""
    return {
        "page_url": page_url,
        "extractor": cleaned(info.get("extractor"), _NAME),
        "site_key": site_key(info),
        "title": cleaned(info.get("title"), _TITLE),
        "description": cleaned(info.get("description"), _DESCRIPTION, keep_lines=True),
        "tags": _all_cleaned(info.get("tags")),
        "categories": _all_cleaned(info.get("categories")),
        "language": cleaned(info.get("language"), 35),
        "sound_language": cleaned(sound_language(info), 35),
        "channel": cleaned(info.get("channel") or info.get("uploader"), _NAME),
        "channel_id": cleaned(info.get("channel_id") or info.get("uploader_id"), _NAME),
        "channel_url": _address(info.get("channel_url") or info.get("uploader_url")),
        # For unknown sites yt-dlp's timestamp is the file's, which is not when the video was published.
        "uploaded_at": _uploaded_at(info) if is_known_site(info) else None,
        "licence": cleaned(info.get("license"), _NAME),
        "age_limit": _count(info.get("age_limit")),
        "views": _count(info.get("view_count")),
        "likes": _count(info.get("like_count")),
        "duration_seconds": seconds_or_none(info.get("duration")),
        "format": cleaned(info.get("format"), _NAME),
        "downloader": downloader,
    }


def site_key(info: Mapping[str, Any]) -> str | None:
    """Returns the site's own id; None if yt-dlp does not know the site, and made the id from the end of the URL."""
    return cleaned(info.get("id"), _NAME) if is_known_site(info) else None


def is_known_site(info: Mapping[str, Any]) -> bool:
    key = info.get("extractor_key") or info.get("ie_key")
    return key not in (None, "Generic", "HTML5MediaEmbed")


_LINES = re.compile(r"[\r\n\t\x0b\x0c\x85\u2028\u2029]+")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def cleaned(text: Any, max_characters: int, *, keep_lines: bool = False) -> str | None:
    """Removes control characters and lone surrogates, and cuts at `max_characters`; None if nothing remains."""
    if text is None:
        return None
    raw = str(text)[: 10 * max_characters]
    if not keep_lines:
        raw = _LINES.sub(" ", raw)
    return _UNPRINTABLE.sub("", raw.replace("\r\n", "\n")).strip()[:max_characters].rstrip() or None


def _all_cleaned(texts: Any) -> list[str]:
    items = texts if isinstance(texts, (list, tuple)) else []
    return [text for item in items[:_MAX_TAGS] if (text := cleaned(item, _NAME))]


def _address(url: Any) -> str | None:
    text = cleaned(url, _ADDRESS)
    return text if text and text.startswith(("http://", "https://")) else None


def _count(number: Any) -> int | None:
    return number if isinstance(number, int) and 0 <= number < 2**63 else None


def seconds_or_none(number: Any) -> float | None:
    return float(number) if isinstance(number, (int, float)) and math.isfinite(number) and number >= 0 else None


def _uploaded_at(info: Mapping[str, Any]) -> datetime | None:
    """Returns the upload time, exact to the day if the site says no more; None if it is no valid date."""
    stamp, day = info.get("timestamp") or info.get("release_timestamp"), info.get("upload_date")
    try:
        if isinstance(stamp, (int, float)):
            return datetime.fromtimestamp(stamp, UTC)
        return datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC) if isinstance(day, str) else None
    except (ValueError, OverflowError, OSError):
        return None
