"""yt-dlp as this project uses it: silent, within the crawl rules, writing into one folder only.

Imports yt-dlp, which takes a second: import this module inside functions.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import yt_dlp
from yt_dlp.networking import Request
from yt_dlp.utils import unsmuggle_url

from internvid.web.crawl_rules import LeftOut, left_out_by_headers, left_out_by_size
from internvid.web.errors import (
    IsPlaylist,
    RedirectLoop,
    RefusedAddress,
    UnknownTrouble,
    UnusableFormat,
    WebError,
    classed,
)
from internvid.web.guard import reach_only_public_addresses
from internvid.web.settings import DownloadSettings

DOWNLOADER = f"yt-dlp {yt_dlp.version.__version__}"
RETRIES = 2  # of a part; a video that fails is tried again later, by whoever asked for it
MOST_HOPS = 5  # from one site to the next that it embeds
CONTAINERS = ("mp4", "m4v", "webm", "mkv", "mov", "avi", "flv", "ts", "m2ts", "mpg", "mpeg", "ogv", "3gp", "wmv")
# What yt-dlp's own code fetches. The rest is left to programs, such as rtmpdump and ffmpeg, that are not watched.
_FETCHED_HERE = "[protocol~='^(https?|m3u8|m3u8_native|http_dash_segments)$']"
# Picture and sound that belong together, else one with both, else one without sound; sound alone is none.
_FORMAT = f"bv*{_FETCHED_HERE}+ba{_FETCHED_HERE}/b{_FETCHED_HERE}[vcodec!=?none]/bv*{_FETCHED_HERE}"
# A file from a stranger may be a list that names other files: ffmpeg is to read this one, as what it should be.
_FFMPEG_READS = (
    *("-protocol_whitelist", "file,pipe"),
    *("-format_whitelist", "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,aac,mp3,ogg,flv,avi,asf,webvtt"),
)
_FFMPEG_USERS = ("merger", "fixupm3u8", "fixupm4a", "fixupstretched", "fixupduplicatemoov")


class CrawlRule(Exception):
    """A rule leaves the video out, found while yt-dlp is at work."""

    def __init__(self, left_out: LeftOut) -> None:
        super().__init__(left_out.reason)
        self.left_out = left_out


class Session(yt_dlp.YoutubeDL):
    """One video's, or one list's. warnings: what yt-dlp would have printed. answers: their headers, by URL.

    Calls the guard first: for processes made for the purpose. Raises CrawlRule out of any of its methods.
    """

    def __init__(self, settings: DownloadSettings, **options: Any) -> None:
        reach_only_public_addresses(settings.allowed_addresses)
        self.settings = settings
        self.warnings: list[str] = []
        self.answers: dict[str, Message] = {}
        super().__init__({**_options(settings), **options, "logger": _Log(self.warnings)})

    def urlopen(self, req: Any) -> Any:
        """As yt-dlp's; looks at what the answer says of itself before its body is read."""
        url = req if isinstance(req, str) else req.url
        if urlsplit(url).scheme not in ("http", "https", "data"):
            raise RefusedAddress(f"{url[:200]} was refused: only http and https URLs are opened")
        response = super().urlopen(req)
        self.answers[url] = self.answers[response.url] = response.headers
        if left_out := left_out_by_headers(response.url, response.headers, self.settings):
            response.close()
            raise CrawlRule(left_out)
        return response

    def headers_of(self, url: str) -> Message:
        """By HEAD, or where that is not answered by GET of the first byte."""
        try:
            return self._asked(Request(url, method="HEAD"))
        except yt_dlp.networking.exceptions.HTTPError as error:
            if error.status not in (403, 405, 501):  # signed URLs are for GET
                raise
        return self._asked(Request(url, headers={"Range": "bytes=0-0"}))

    def _asked(self, request: Request) -> Message:
        with self.urlopen(request) as response:
            return response.headers

    def watch_size(self, progress: dict[str, Any]) -> None:
        """A progress hook: for bodies whose length nobody told."""
        if left_out := left_out_by_size(progress.get("downloaded_bytes") or 0, self.settings):
            raise CrawlRule(left_out)


Answer = TypeVar("Answer")


def asked(question: Callable[[], Answer]) -> Answer:
    """Its answer. What yt-dlp raises comes as a WebError, but for CrawlRule."""
    try:
        return question()
    except (CrawlRule, WebError):
        raise
    except Exception as error:
        if rule := _crawl_rule(error):
            raise rule from error
        raise classed(error) from error


def _crawl_rule(error: BaseException) -> CrawlRule | None:
    """Some of yt-dlp's parts catch whatever comes and raise their own."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        cause = waiting.pop()
        if cause is None or id(cause) in seen:
            continue
        if isinstance(cause, CrawlRule):
            return cause
        seen.add(id(cause))
        waiting += [cause.__cause__, cause.__context__]
    return None


def plain_url(url: str) -> str:
    """Without what yt-dlp hides in the fragment for itself."""
    return unsmuggle_url(url)[0]


def listed(session: Session, url: str) -> dict[str, Any]:
    """What the page is, without asking for the videos that it lists: of _type video, playlist or multi_video."""
    info = session.extract_info(url, download=False, process=False)
    hops = 0
    while info and info.get("_type") in ("url", "url_transparent"):
        if (hops := hops + 1) > MOST_HOPS:
            raise RedirectLoop(f"{url} leads from page to page: {MOST_HOPS} were followed")
        info = session.extract_info(info["url"], download=False, process=False, ie_key=info.get("ie_key"))
    return info or {}


def single(session: Session, url: str) -> dict[str, Any]:
    """The one video of the page, with the format that would be taken. Raises IsPlaylist for several."""
    try:
        info = asked(lambda: session.extract_info(url, download=False))
    except UnusableFormat as error:
        # Of YouTube's formats: the lack is here, and another try may find it mended.
        if told := next((warning for warning in session.warnings if "JavaScript runtime" in warning), None):
            raise UnknownTrouble(f"{error}\n{told}") from error
        raise
    if info.get("_type", "video") != "video":
        raise IsPlaylist(f"{url} lists several videos: add it as a feed, and each will be fetched")
    return info


def _options(settings: DownloadSettings) -> dict[str, Any]:
    """Of yt_dlp.YoutubeDL, whose docstring says what each is."""
    import imageio_ffmpeg

    options: dict[str, Any] = {
        "quiet": True,
        "noprogress": True,
        "color": "no_color",
        "cachedir": False,  # nothing is written outside the folder
        "proxy": settings.proxy or "",
        "socket_timeout": settings.timeout_seconds,
        "retries": RETRIES,
        "fragment_retries": RETRIES,
        "extractor_retries": RETRIES,
        "file_access_retries": RETRIES,
        "skip_unavailable_fragments": False,  # a video with a hole is none
        "geo_bypass": False,  # it would name a false address
        "noplaylist": True,  # of a video within a list, the video
        "playlist_items": "0",  # of a list, none
        "updatetime": False,
        "external_downloader": "native",
        "hls_prefer_native": True,
        "hls_use_mpegts": False,
        "fixup": "force",  # also of a file that came before the process was killed
        "ffmpeg_location": imageio_ffmpeg.get_ffmpeg_exe(),
        "postprocessor_args": {f"{user}+ffmpeg_i": list(_FFMPEG_READS) for user in _FFMPEG_USERS},
        "format": _FORMAT,
        # H.264 and what came before it, then VP9, then AV1, which decord does not read.
        "format_sort": [f"res:{settings.longest_short_side}", "vcodec:h264"],
        "merge_output_format": "mp4/webm/mkv",
        "http_headers": {"User-Agent": settings.user_agent} if settings.user_agent else {},
    }
    if settings.bytes_per_second:
        options["ratelimit"] = settings.bytes_per_second
    if settings.cookies_file:
        # yt-dlp writes back into a file, which others read at the same time.
        options["cookiefile"] = io.StringIO(Path(settings.cookies_file).read_text(encoding="utf-8"))
    if settings.javascript_runtime:
        from internvid.web.javascript import runtime_name

        runtime = settings.javascript_runtime
        options["js_runtimes"] = {runtime_name(runtime): {"path": runtime}}
    return options


class _Log:
    """Takes what yt-dlp would print, and keeps its warnings."""

    def __init__(self, warnings: list[str]) -> None:
        self._warnings = warnings

    def debug(self, message: str) -> None:
        """Progress, too."""

    def info(self, message: str) -> None:
        """As debug."""

    def warning(self, message: str, **_: Any) -> None:
        self._warnings.append(message)

    def error(self, message: str) -> None:
        """Errors are raised as well."""
