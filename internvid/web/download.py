"""Downloads one video from the web into a folder, with its subtitles and its metadata.

Text from the site is untrusted: it is cleaned and cut, and no file name is made from it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from internvid.speech.language import language_code
from internvid.web.crawl_rules import LeftOut, is_page, left_out_by_metadata
from internvid.web.errors import (
    BotCheck,
    DiskFull,
    NetworkTrouble,
    NotAVideo,
    RateLimited,
    RefusedAddress,
    UnknownTrouble,
    WebError,
)
from internvid.web.metadata import cleaned, metadata
from internvid.web.offered_formats import below_available, prefer_original
from internvid.web.settings import DownloadSettings

if TYPE_CHECKING:
    from internvid.web.session import Session

__all__ = ["DownloadSettings", "Downloaded", "LeftOut", "download"]

# Formats that internvid.speech.subtitles reads; the first one that the site offers is taken.
_SUBTITLES = ("vtt", "srt", "ass", "ssa", "json3", "srv3", "ttml", "dfxp", "sbv", "srv1", "sami", "smi", "lrc")
_AUTOMATIC = ("json3", "vtt", "srt")  # YouTube's automatic vtt repeats every line
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8}){0,3}")
# Errors of a subtitle file that concern the video too, or may pass: the video is tried again; its bytes are kept.
_RETRYABLE = (RateLimited, BotCheck, NetworkTrouble, DiskFull, RefusedAddress)
_SIGNATURES = (  # (position, magic bytes, extension) for files of unknown type
    (4, b"ftyp", "mp4"),
    (0, b"\x1a\x45\xdf\xa3", "mkv"),
    (8, b"AVI ", "avi"),
    (0, b"FLV\x01", "flv"),
    (0, b"\x00\x00\x01\xba", "mpg"),
    (0, b"OggS", "ogv"),
    (188, b"\x47", "ts"),
)


@dataclass(frozen=True)
class Downloaded:
    """A downloaded video. path: media.mp4 or another container. subtitles: LANGUAGE.vtt, LANGUAGE.auto.json3 and so on.

    metadata: page_url, extractor, site_key, title, description, tags, categories, language,
    sound_language, channel, channel_id,
    channel_url, uploaded_at (UTC), licence, age_limit, views, likes, duration_seconds, format, downloader; None where
    the site does not say. warnings: yt-dlp's, and one for each subtitle file that could not be fetched.
    below_available: why a larger picture should be there; None where there is no sign of one.
    """

    path: str
    subtitles: tuple[str, ...]
    sha256: str
    size_bytes: int
    metadata: dict[str, Any]
    warnings: tuple[str, ...]
    below_available: str | None = None


def download(url: str, folder: str, settings: DownloadSettings) -> Downloaded | LeftOut:
    """Downloads the video at `url` into `folder`; returns LeftOut if a crawl rule excludes it.

    Run it in a process of its own: the process can reach only public addresses afterwards.
    Called with the same folder again, also after a kill, it resumes the download.
    Raises WebErrors; MemoryError if an answer takes all memory of the process.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise RefusedAddress(f"{url[:200]} was refused: only http and https URLs are opened")
    from internvid.web.session import CrawlRule, web_errors_only

    try:
        return web_errors_only(lambda: _download(url, Path(folder), settings))
    except CrawlRule as rule:
        return rule.left_out


def _download(url: str, folder: Path, settings: DownloadSettings) -> Downloaded | LeftOut:
    from internvid.web.session import DOWNLOADER, Session, plain_url, single_video

    folder.mkdir(parents=True, exist_ok=True)
    with Session(settings, paths={"home": str(folder)}, outtmpl={"default": "media.%(ext)s"}) as session:
        session.add_progress_hook(session.watch_size)
        info = single_video(session, url)
        _refuse_what_is_no_video(url, info, session)
        if left_out := left_out_by_metadata(info, settings):
            return left_out
        tracks = list(_tracks(info, settings))
        prefer_original(info)
        _delete_stale_parts(folder, info, session)
        done = session.process_ie_result({**info, "subtitles": {}, "automatic_captions": {}}, download=True)
        path = _with_suffix(Path(done["requested_downloads"][0]["filepath"]), url)
        try:
            _refuse_what_is_no_video(url, done, session)
        except NotAVideo:
            path.unlink()
            raise
        subtitles = [str(file) for name, track in tracks if (file := _fetched(session, folder / name, track, info))]
        site_metadata = metadata(done, plain_url(str(done.get("webpage_url") or url)), DOWNLOADER)
        below = below_available(done, session.warnings, settings.max_short_side)
    with path.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    warnings = tuple(cleaned(warning, 2_000) or "" for warning in session.warnings)
    return Downloaded(str(path), tuple(subtitles), sha256, path.stat().st_size, site_metadata, warnings, below)


def _refuse_what_is_no_video(url: str, info: Mapping[str, Any], session: Session) -> None:
    """Raises NotAVideo for pages, pictures and other files, which yt-dlp takes for videos unless they are HTML."""
    from internvid.web.session import CONTAINERS

    headers = session.answers.get(info.get("url") or "")
    is_picture = headers is not None and headers.get_content_maintype() == "image"
    if headers is not None and info.get("protocol") in ("http", "https") and (is_picture or is_page(headers)):
        raise NotAVideo(f"{url} is {headers['Content-Type']}")
    if (extension := info.get("ext")) not in (*CONTAINERS, "unknown_video"):
        raise NotAVideo(f"{url} is a file of type {cleaned(extension, 20)}; videos are {', '.join(CONTAINERS)}")


def _delete_stale_parts(folder: Path, info: Mapping[str, Any], session: Session) -> None:
    """Deletes bytes in the folder that are of another file or format: a download must not resume onto them."""
    headers = session.answers.get(info.get("url") or "")
    names = ("extractor", "id", "format_id", "ext", "filesize")
    offered: dict[str, Any] = {name: info.get(name) for name in names}
    if info.get("direct") and headers:
        offered |= {name: headers.get(name) for name in ("ETag", "Last-Modified", "Content-Length")}
    text = json.dumps(offered, sort_keys=True)
    note = folder / "offered.json"
    if not note.exists() or note.read_text(encoding="utf-8") != text:
        for file in folder.glob("media*"):
            file.unlink()
        note.write_text(text, encoding="utf-8")


def _with_suffix(path: Path, url: str) -> Path:
    """Renames a file of unknown type after its container. Raises NotAVideo if its first bytes name no container."""
    if path.suffix != ".unknown_video":
        return path
    with path.open("rb") as file:
        beginning = file.read(189)
    for position, magic, extension in _SIGNATURES:
        if beginning[position:].startswith(magic):
            return path.rename(path.with_suffix(f".{extension}"))
    raise NotAVideo(f"{url} is no video: it begins with {beginning[:40]!r}")


def _tracks(info: Mapping[str, Any], settings: DownloadSettings) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (file name, yt-dlp track) for the subtitles to fetch: the spoken language first, then English."""
    spoken = language_code(str(info.get("language") or "")) if info.get("language") else None
    written = dict(_named(info.get("subtitles") or {})) if settings.subtitles else {}
    order = sorted(written, key=lambda tag: (language_code(tag) != spoken, language_code(tag) != "en", tag))
    for tag in order[: settings.max_subtitles]:
        if track := _best(written[tag], _SUBTITLES):
            yield f"{tag}.{track['ext']}", track
    if not settings.automatic_subtitles or any(spoken and language_code(tag) == spoken for tag in written):
        return
    automatic = dict(_named(info.get("automatic_captions") or {}))
    originals = [tag for tag in automatic if tag.endswith("-orig")]
    originals = originals or [tag for tag in automatic if spoken and language_code(tag) == spoken]
    for tag in originals[:1]:
        if track := _best([track for track in automatic[tag] if not _is_translated(track)], _AUTOMATIC):
            yield f"{tag.removesuffix('-orig')}.auto.{track['ext']}", track


def _named(tracks: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yields the tracks whose language tag can be a file name. A live chat is no subtitle track."""
    for tag, forms in tracks.items():
        if isinstance(tag, str) and _LANGUAGE.fullmatch(tag) and forms:
            yield tag, forms


def _best(forms: Iterable[dict[str, Any]], extensions: tuple[str, ...]) -> dict[str, Any] | None:
    """Returns the form with the earliest of `extensions`; None if there is none."""
    forms_by_extension = {form.get("ext"): form for form in forms}
    return next((forms_by_extension[extension] for extension in extensions if extension in forms_by_extension), None)


def _is_translated(track: Mapping[str, Any]) -> bool:
    """Whether YouTube translated the track: its URL then has the parameter tlang."""
    return "tlang=" in (track.get("url") or "")


def _fetched(session: Session, path: Path, track: dict[str, Any], info: Mapping[str, Any]) -> Path | None:
    """Fetches a subtitle file; returns None and adds a warning if it is not available, since it is optional."""
    from internvid.web.session import web_errors_only

    if path.exists():
        return path
    if track.get("data") is not None:
        path.write_text(str(track["data"]), encoding="utf-8", errors="replace")
        return path
    wanted = {"http_headers": info.get("http_headers"), **track}
    try:
        succeeded, _ = web_errors_only(lambda: session.dl(str(path), wanted, subtitle=True))
    except _RETRYABLE:
        raise
    except WebError as error:
        session.warnings.append(f"no subtitles {path.name}: {type(error).__name__}: {error}")
        return None
    if not succeeded:
        raise UnknownTrouble(f"yt-dlp did not fetch the subtitles {path.name}, and did not say why")
    return path
