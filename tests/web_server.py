"""A real HTTP server on loopback that serves videos, and behaves as badly as the web does.

    with web_server() as server:
        url = server.add("/video.mp4", File(path))                         # with ranges; the URL
        server.add("/busy.mp4", Status(429, {"Retry-After": "1"}), File(path))   # in turn; the last for ever
        server.add("/page", page_with_video("video.mp4", title="A video"))
        server.add_hls("/live", path, folder)                              # URL of the playlist
        feed = server.add_feed("/feed.rss")                                # an RSS feed that grows
        feed.add(url, "A video")
        server.asked("/video.mp4")[0].range                                # what was asked, when, and how many at once

yt-dlp asks for a direct link twice: it looks at the first bytes, then it downloads. Each takes its turn.
A server on `web_server("127.0.0.2")` is another host, and may have the same videos.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

BLOCK = 65_536
TYPES = {
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".ts": "video/mp2t",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".vtt": "text/vtt",
    ".jpg": "image/jpeg",
}


@dataclass(frozen=True)
class File:
    """A file, by ranges where asked.

    cut_at: of what was asked for, the share of bytes after which the connection ends, though more was promised.
    stalls_after: bytes after which nothing comes until the server ends. bytes_per_second: no faster.
    """

    path: Path
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_at: float | None = None
    stalls_after: int | None = None
    bytes_per_second: float | None = None
    has_ranges: bool = True


@dataclass(frozen=True)
class Status:
    """An error, or whatever a status with headers and a little text is."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""


@dataclass(frozen=True)
class Redirect:
    """to: a path of this server, or any URL; to the path itself is a loop."""

    to: str
    status: int = 302


@dataclass(frozen=True)
class Page:
    """A page, of HTML unless `type` says otherwise."""

    text: str
    type: str = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Hang:
    """No answer, until the client goes or the server ends."""


@dataclass(frozen=True)
class Drip:
    """A video that never ends, though a byte comes every little while."""

    seconds_between: float = 0.05


@dataclass(frozen=True)
class Endless:
    """The text again and again, as fast as it is taken, until the client goes or the server ends."""

    text: str
    type: str = "text/html; charset=utf-8"


Answer = File | Status | Redirect | Page | Hang | Drip | Endless
Act = Answer | Callable[[], Answer]  # a function is asked anew each time

TEXT_PAGE = Page("<html><head><title>Words</title></head><body><p>Only words are here.</p></body></html>")


def page_with_video(src: str, title: str = "A page", **open_graph: str) -> Page:
    """HTML with a <video> tag; open_graph: description="…" and others as <meta property="og:…">."""
    metas = "".join(f'<meta property="og:{name}" content="{escape(text)}">' for name, text in open_graph.items())
    tag = f'<video controls><source src="{escape(src)}" type="video/mp4"></video>'
    return Page(f"<html><head><title>{escape(title)}</title>{metas}</head><body>{tag}</body></html>")


@dataclass
class Request:
    """What was asked. at, until: monotonic seconds of its beginning and end; until is None while it goes on."""

    method: str
    path: str
    headers: dict[str, str]
    at: float
    until: float | None = None

    @property
    def range(self) -> str | None:
        return self.headers.get("range")


class Feed:
    """An RSS feed with enclosures, which yt-dlp's generic extractor reads as a playlist; the newest comes first."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._items: list[str] = []

    def add(self, url: str, title: str = "A video", seconds: int | None = None) -> None:
        lasts = "" if seconds is None else f"<itunes:duration>{seconds}</itunes:duration>"
        enclosure = f'<enclosure url="{escape(url)}" type="video/mp4" length="0"/>'
        guid = f"<guid>{escape(url)}</guid>"
        self._items.insert(0, f"<item><title>{escape(title)}</title>{guid}{enclosure}{lasts}</item>")

    def page(self) -> Page:
        channel = f"<channel><title>{escape(self.title)}</title>{''.join(self._items)}</channel>"
        namespace = 'xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd"'
        rss = f'<rss version="2.0" {namespace}>{channel}</rss>'
        return Page(f'<?xml version="1.0" encoding="utf-8"?>{rss}', "application/rss+xml")


class WebServer(ThreadingHTTPServer):
    """See the top. What was asked for stands in `requests`, in the order in which it came."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, host: str = "127.0.0.1") -> None:
        super().__init__((host, 0), _Handler)
        self.requests: list[Request] = []
        self.max_concurrent_requests = 0  # over all paths
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self._acts: dict[str, tuple[Act, ...]] = {}
        self._asked: dict[str, int] = {}
        self._concurrent: dict[str, int] = {}
        self._max_concurrent: dict[str, int] = {}

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"http://{self.server_address[0]}:{self.server_address[1]}"

    def add(self, path: str, *acts: Act) -> str:
        """Answers requests for the path by each of `acts` in order, then always by the last. Returns the URL.

        A path that was there starts again.
        """
        with self.lock:
            self._acts[path], self._asked[path] = acts, 0
        return self.url + path

    def add_hls(self, path: str, video: Path, folder: Path, **settings: Any) -> str:
        """The video as HLS under path/index.m3u8, its segments of a second or more made in the folder."""
        for file in hls(video, folder):
            self.add(f"{path}/{file.name}", File(file, **settings))
        return f"{self.url}{path}/index.m3u8"

    def add_feed(self, path: str, title: str = "A feed") -> Feed:
        feed = Feed(title)
        self.add(path, feed.page)
        return feed

    def asked(self, path: str) -> list[Request]:
        with self.lock:
            return [request for request in self.requests if request.path == path]

    def max_concurrent_of(self, path: str) -> int:
        return self._max_concurrent.get(path, 0)

    def begins(self, request: Request) -> Answer:
        """Counts it; what to do about it."""
        with self.lock:
            self.requests.append(request)
            for_path = self._concurrent[request.path] = self._concurrent.get(request.path, 0) + 1
            self._max_concurrent[request.path] = max(for_path, self.max_concurrent_of(request.path))
            self.max_concurrent_requests = max(self.max_concurrent_requests, sum(self._concurrent.values()))
            acts = self._acts.get(request.path, (Status(404),))
            turn = self._asked.get(request.path, 0)
            self._asked[request.path] = turn + 1
        act = acts[min(turn, len(acts) - 1)]
        return act() if callable(act) else act

    def ends(self, request: Request) -> None:
        with self.lock:
            if request.until is None:
                self._concurrent[request.path] -= 1
                request.until = time.monotonic()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WebServer

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.request_seen = Request(self.command, urlsplit(self.path).path, headers, time.monotonic())
        answer = self.server.begins(self.request_seen)
        try:
            self._give(answer)
        finally:
            self.server.ends(self.request_seen)

    do_HEAD = do_GET

    def _give(self, answer: Answer) -> None:
        match answer:
            case File():
                self._file(answer)
            case Status(status, headers, text):
                self._whole(status, text or f"status {status}", {"Content-Type": "text/plain", **headers})
            case Redirect(to, status):
                self._whole(status, "", {"Location": to})
            case Page(text, type_, headers):
                self._whole(200, text, {"Content-Type": type_, **headers})
            case Hang():
                self.server.stopping.wait()
                self.close_connection = True
            case Endless(text, type_):
                self._endless(text.encode(), type_)
            case Drip(seconds_between):
                self._drip(seconds_between)

    def _begin(self, status: int, headers: Mapping[str, str]) -> bool:
        """Whether a body is wanted."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        return self.command != "HEAD"

    def _whole(self, status: int, text: str, headers: Mapping[str, str]) -> None:
        body = text.encode("utf-8", "surrogatepass")
        # Before the last byte goes out, or the client's next request could come before this one is counted down.
        self.server.ends(self.request_seen)
        if self._begin(status, {"Content-Length": str(len(body)), **headers}):
            self.wfile.write(body)

    def _file(self, answer: File) -> None:
        size = answer.path.stat().st_size
        asked = self.request_seen.range if answer.has_ranges else None
        first, last = _span(asked, size)
        headers = {"Content-Type": TYPES.get(answer.path.suffix, "application/octet-stream"), **answer.headers}
        if first >= size:
            return self._whole(416, "", {"Content-Range": f"bytes */{size}"})
        if answer.has_ranges:
            headers["Accept-Ranges"] = "bytes"
        if asked:
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        wanted = last - first + 1
        if not self._begin(206 if asked else 200, {"Content-Length": str(wanted), **headers}):
            return None
        given = wanted if answer.cut_at is None else int(wanted * answer.cut_at)
        if answer.stalls_after is not None:
            given = min(given, answer.stalls_after)
        self._bytes(answer, first, given)
        if answer.stalls_after is not None:
            self.server.stopping.wait()
        self.close_connection = self.close_connection or given < wanted
        return None

    def _bytes(self, answer: File, first: int, count: int) -> None:
        speed = answer.bytes_per_second
        block = BLOCK if speed is None else max(1, int(speed / 20))
        with answer.path.open("rb") as file:
            file.seek(first)
            while count and not self.server.stopping.is_set():
                data = file.read(min(block, count))
                count -= len(data)
                if not count and answer.stalls_after is None:
                    self.server.ends(self.request_seen)
                self.wfile.write(data)
                if speed is not None and count:
                    self.server.stopping.wait(len(data) / speed)

    def _endless(self, block: bytes, type_: str) -> None:
        if self._begin(200, {"Content-Type": type_, "Connection": "close"}):
            while not self.server.stopping.is_set():
                self.wfile.write(block)
        self.close_connection = True

    def _drip(self, seconds_between: float) -> None:
        if self._begin(200, {"Content-Type": "video/mp4", "Content-Length": "100000000"}):
            while not self.server.stopping.wait(seconds_between):
                self.wfile.write(b"\0")
        self.close_connection = True

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def _span(asked: str | None, size: int) -> tuple[int, int]:
    """First and last byte of a Range header with one span; of the whole file without one."""
    if not asked:
        return 0, size - 1
    first, _, last = asked.removeprefix("bytes=").partition("-")
    if not first:
        return max(0, size - int(last)), size - 1
    return int(first), min(int(last), size - 1) if last else size - 1


def hls(video: Path, folder: Path, **options: str) -> list[Path]:
    """index.m3u8 and its segments, a second long or until the next key frame, of the same packets. options: of
    FFmpeg's muxer hls."""
    import av

    folder.mkdir(parents=True, exist_ok=True)
    options = {"hls_time": "1", "hls_list_size": "0", "hls_segment_filename": f"{folder}/segment%03d.ts", **options}
    with av.open(str(video)) as source, av.open(str(folder / "index.m3u8"), "w", format="hls", options=options) as out:
        copies = {stream: out.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream]
                out.mux(packet)
    return sorted(folder.iterdir())


def make_video(path: Path, seconds: float = 12, size: tuple[int, int] = (480, 360), shade: int = 0) -> Path:
    """H.264, 5 frames a second with a key frame each second. Another shade is another video; noise keeps it from
    being tiny: a few tens of kilobytes a second."""
    import av
    import numpy as np

    noise = np.random.default_rng(shade)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=5, options={"preset": "ultrafast", "crf": "30"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.gop_size = 5
        stream.time_base = Fraction(1, 5)
        for number in range(round(seconds * 5)):
            picture = noise.integers(0, 90, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
            picture[:, : 8 * (number % (size[0] // 8)) + 8] += np.uint8(shade % 100 + 50)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    return path


def make_sound(path: Path, seconds: int = 12) -> Path:
    """A hum as AAC, mono."""
    import av
    import numpy as np

    rate = 16_000
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=rate, layout="mono")
        for number in range(seconds * rate // 1024):
            times = (np.arange(1024) + 1024 * number) / rate
            frame = av.AudioFrame.from_ndarray(
                np.sin(2 * np.pi * 220 * times).astype(np.float32)[None], format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts = rate, 1024 * number
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


@contextmanager
def web_server(host: str = "127.0.0.1") -> Iterator[WebServer]:
    """While the block runs, in threads of this process."""
    with WebServer(host) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            server.shutdown()
            thread.join()
