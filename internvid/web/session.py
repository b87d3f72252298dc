"""A yt-dlp session that prints nothing, obeys the crawl rules, and writes into one folder only.

Imports yt-dlp, which takes a second: import this module inside functions.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from email.message import Message
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import yt_dlp
from yt_dlp.networking import Request, Response
from yt_dlp.utils import unsmuggle_url

from internvid.web.crawl_rules import LeftOut, left_out_by_headers, left_out_by_size
from internvid.web.errors import (
    AnswerTooLarge,
    IsPlaylist,
    RedirectLoop,
    RefusedAddress,
    UnknownTrouble,
    UnusableFormat,
    WebError,
    as_web_error,
)
from internvid.web.guard import reach_only_public_addresses
from internvid.web.settings import DownloadSettings

DOWNLOADER = f"yt-dlp {yt_dlp.version.__version__}"
RETRIES = 2  # of a part; a video that fails is tried again later, by the caller
MAX_BYTES_OF_A_PAGE = 10 * 2**20  # of HTML, JSON or a playlist, decompressed: YouTube's pages have 2 MB at most
BLOCK = 1 << 16
MAX_HOPS = 5  # from a page to the page that it embeds
CONTAINERS = ("mp4", "m4v", "webm", "mkv", "mov", "avi", "flv", "ts", "m2ts", "mpg", "mpeg", "ogv", "3gp", "wmv")
# Protocols that yt-dlp fetches itself. It leaves others to programs such as rtmpdump and ffmpeg, which the guard cannot
# watch.
_FETCHED_HERE = "[protocol~='^(https?|m3u8|m3u8_native|http_dash_segments)$']"
# Separate picture and sound, else a format with both, else a picture without sound; never sound alone.
_FORMAT = f"bv*{_FETCHED_HERE}+ba{_FETCHED_HERE}/b{_FETCHED_HERE}[vcodec!=?none]/bv*{_FETCHED_HERE}"
# An untrusted file may be a list that names other files: ffmpeg may read only this file, in a media format.
_FFMPEG_READS = (
    *("-protocol_whitelist", "file,pipe"),
    *("-format_whitelist", "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,aac,mp3,ogg,flv,avi,asf,webvtt"),
)
_FFMPEG_USERS = ("merger", "fixupm3u8", "fixupm4a", "fixupstretched", "fixupduplicatemoov")


class CrawlRule(Exception):
    """A crawl rule excludes the video; raised while yt-dlp is at work."""

    def __init__(self, left_out: LeftOut) -> None:
        super().__init__(left_out.reason)
        self.left_out = left_out


class Session(yt_dlp.YoutubeDL):
    """yt-dlp for one video or one list. warnings: what yt-dlp would have printed. answers: response headers by URL.

    Installs the guard first: create it in a process of its own. Any of its methods may raise CrawlRule.
    """

    def __init__(self, settings: DownloadSettings, **options: Any) -> None:
        reach_only_public_addresses(settings.allowed_addresses)
        self.settings = settings
        self.warnings: list[str] = []
        self.answers: dict[str, Message] = {}
        super().__init__({**_options(settings), **options, "logger": _Log(self.warnings)})

    def urlopen(self, req: Any) -> Any:
        """Opens as yt-dlp does, and applies the crawl rules to the response headers before the body is read.

        What is read as a whole is bounded; videos are read in blocks.
        """
        url = req if isinstance(req, str) else req.url
        if urlsplit(url).scheme not in ("http", "https", "data"):
            raise RefusedAddress(f"{url[:200]} was refused: only http and https URLs are opened")
        response = super().urlopen(req)
        self.answers[url] = self.answers[response.url] = response.headers
        if left_out := left_out_by_headers(response.url, response.headers, self.settings):
            response.close()
            raise CrawlRule(left_out)
        response.read = partial(_read, response, response.read)
        return response

    def fetch_headers(self, url: str) -> Message:
        """Returns the response headers of HEAD, or of GET of the first byte if the server refuses HEAD."""
        try:
            return self._response_headers(Request(url, method="HEAD"))
        except yt_dlp.networking.exceptions.HTTPError as error:
            if error.status not in (403, 405, 501):  # 403: signed URLs are for GET only
                raise
        return self._response_headers(Request(url, headers={"Range": "bytes=0-0"}))

    def _response_headers(self, request: Request) -> Message:
        with self.urlopen(request) as response:
            return response.headers

    def watch_size(self, progress: dict[str, Any]) -> None:
        """A progress hook that applies the size limit to bodies whose length was not announced."""
        if left_out := left_out_by_size(progress.get("downloaded_bytes") or 0, self.settings):
            raise CrawlRule(left_out)


def _read(response: Response, read: Callable[[int], bytes], amount: int | None = None) -> bytes:
    """Reads `amount` bytes, or the whole body unless it is too large for that."""
    if amount is not None and amount >= 0:
        return read(amount)
    body = bytearray()
    while block := read(BLOCK):
        body += block
        if len(body) > MAX_BYTES_OF_A_PAGE:
            response.close()
            raise AnswerTooLarge(f"{response.url[:200]} answers with more than {MAX_BYTES_OF_A_PAGE >> 20} MiB of text")
    return bytes(body)


Answer = TypeVar("Answer")


def web_errors_only(request: Callable[[], Answer]) -> Answer:
    """Returns request(); converts every exception into a WebError, except CrawlRule and MemoryError."""
    try:
        return request()
    except (CrawlRule, WebError, MemoryError):  # there is no memory to convert it
        raise
    except Exception as error:
        if rule := _crawl_rule(error):
            raise rule from error
        raise as_web_error(error) from error


def _crawl_rule(error: BaseException) -> CrawlRule | None:
    """Returns the CrawlRule among the causes: parts of yt-dlp catch every exception and raise their own."""
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
    """Removes the data that yt-dlp keeps in the fragment."""
    return unsmuggle_url(url)[0]


def page_info(session: Session, url: str) -> dict[str, Any]:
    """Returns yt-dlp's info of a page, of _type video, playlist or multi_video; listed videos are not requested."""
    info = session.extract_info(url, download=False, process=False)
    hops = 0
    while info and info.get("_type") in ("url", "url_transparent"):
        if (hops := hops + 1) > MAX_HOPS:
            raise RedirectLoop(f"{url} leads from page to page: {MAX_HOPS} were followed")
        info = session.extract_info(info["url"], download=False, process=False, ie_key=info.get("ie_key"))
    return info or {}


def single_video(session: Session, url: str) -> dict[str, Any]:
    """Returns yt-dlp's info of the page's video, with the format to take. Raises IsPlaylist for several videos."""
    try:
        info = web_errors_only(lambda: session.extract_info(url, download=False))
    except UnusableFormat as error:
        # Formats are missing because this machine lacks a runtime: worth another try once it is installed.
        if runtime_warning := next((text for text in session.warnings if "JavaScript runtime" in text), None):
            raise UnknownTrouble(f"{error}\n{runtime_warning}") from error
        raise
    if info.get("_type", "video") != "video":
        raise IsPlaylist(f"{url} lists several videos: add it as a feed, and each will be fetched")
    return info


def _options(settings: DownloadSettings) -> dict[str, Any]:
    """Returns the options of yt_dlp.YoutubeDL, whose docstring explains each."""
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
        "skip_unavailable_fragments": False,  # a video with a gap is unusable
        "geo_bypass": False,  # it would name a false address
        "noplaylist": True,  # for the URL of a video within a list, take the video
        "playlist_items": "0",  # for the URL of a list, take no video
        "updatetime": False,
        "external_downloader": "native",
        "hls_prefer_native": True,
        "hls_use_mpegts": False,
        "fixup": "force",  # also for a file that was fetched before the process was killed
        "ffmpeg_location": imageio_ffmpeg.get_ffmpeg_exe(),
        "postprocessor_args": {f"{user}+ffmpeg_i": list(_FFMPEG_READS) for user in _FFMPEG_USERS},
        "format": _FORMAT,
        # H.264 and older codecs, then VP9, then AV1, which decord does not read.
        # The language first: a dubbed sound is no better in a larger picture.
        "format_sort": ["lang", f"res:{settings.max_short_side}", "vcodec:h264"],
        "merge_output_format": "mp4/webm/mkv",
        "http_headers": {"User-Agent": settings.user_agent} if settings.user_agent else {},
    }
    if settings.bytes_per_second:
        options["ratelimit"] = settings.bytes_per_second
    if settings.cookies_file:
        # yt-dlp would write into the file, which other processes read at the same time.
        options["cookiefile"] = io.StringIO(Path(settings.cookies_file).read_text(encoding="utf-8"))
    if settings.javascript_runtime:
        from internvid.web.javascript import runtime_name

        runtime = settings.javascript_runtime
        options["js_runtimes"] = {runtime_name(runtime): {"path": runtime}}
    return options


class _Log:
    """Logger for yt-dlp that keeps the warnings and drops the rest."""

    def __init__(self, warnings: list[str]) -> None:
        self._warnings = warnings

    def debug(self, message: str) -> None:
        """Drops debug messages and progress."""

    def info(self, message: str) -> None:
        """Drops information."""

    def warning(self, message: str, **_: Any) -> None:
        self._warnings.append(message)

    def error(self, message: str) -> None:
        """Drops errors, which are raised as well."""
