"""Exclusions: ids of benchmark videos, and opt-outs of their makers, both read from files.

The files are read once a run; `resources.catalog.admission` names them. Forgotten videos are kept out by the table
tombstones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from internvid.lists.rows import read_lines, read_sound_rows

YOUTUBE = "youtube.com"
ID_COLUMNS = ("youtube_id", "youtubeid", "video_id", "videoid", "ytid", "vid", "id", "url", "video_url", "video")

_YOUTUBE_ID = re.compile(r"[\w-]{11}", re.ASCII)
# ActivityNet writes v_ before the id; Kinetics, MSVD and VATEX write the span after it.
_BENCHMARK_ID = re.compile(r"(?:v_)?([\w-]{11})(?:_\d+_\d+)?(?:\.(?:mp4|avi|mkv|webm))?", re.ASCII)
_CHANNEL_ID = re.compile(r"UC[\w-]{22}", re.ASCII)
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*|\d+(?:\.\d+){3}", re.IGNORECASE)
KINDS_OF_OPT_OUT = "url:, id:, channel: or host:"


@dataclass
class Exclusions:
    """The exclusions.

    benchmark_ids: YouTube ids. ids: ids of any site. channels: ids, or names in lower case. hosts: a host excludes its
    subdomains too.
    """

    benchmark_ids: set[str] = field(default_factory=set)
    benchmark_urls: set[str] = field(default_factory=set)
    urls: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    channels: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, benchmark_files: Sequence[str] = (), opt_out_files: Sequence[str] = ()) -> Exclusions:
        """Reads the files. # starts a comment.

        benchmark_files: YouTube ids or URLs, one per line, or a csv or tsv with a column of them; ids may have the form
        of Kinetics, VATEX, MSVD or ActivityNet. opt_out_files: URLs, YouTube ids, channels and hosts, one per line.
        Raises ValueError for a missing file, and for an invalid line, with its number.
        """
        exclusions = cls()
        for path in benchmark_files:
            for where, text in _benchmark_cells(path):
                exclusions._add_benchmark(where, text)
        for path in opt_out_files:
            for where, text in _lines(path):
                exclusions._add_opt_out(where, text)
        return exclusions

    def refuses(
        self, url: str, site_key: str | None = None, channel_id: str | None = None, channel: str | None = None
    ) -> tuple[str, str] | None:
        """Returns class and reason of the exclusion; None where the source is not excluded. url: canonical."""
        if channel_id in self.channels or (channel is not None and _name(channel) in self.channels):
            return "OptedOut", f"the channel {channel or channel_id} opted out"
        if url in self.urls or site_key in self.ids:
            return "OptedOut", "the video was opted out"
        host = urlsplit(url).hostname or ""
        if opted_out := next((part for part in _and_above(host) if part in self.hosts), None):
            return "OptedOut", f"{opted_out} opted out"
        if _youtube_id(url, host, site_key) in self.benchmark_ids or url in self.benchmark_urls:
            return "InBenchmark", "a video of a benchmark: no model that is measured on it may be trained on it"
        return None

    def _add_benchmark(self, where: str, text: str) -> None:
        from internvid.web.addresses import canonical_url

        if "://" in text:
            url = _checked(where, text, canonical_url)
            youtube_id = _youtube_id(url, urlsplit(url).hostname or "", None)
            if youtube_id:
                self.benchmark_ids.add(youtube_id)
            else:
                self.benchmark_urls.add(url)
        elif match := _BENCHMARK_ID.fullmatch(text):
            self.benchmark_ids.add(match[1])
        else:
            raise ValueError(f"{where}: {text!r} is neither a YouTube id nor a URL")

    def _add_opt_out(self, where: str, text: str) -> None:
        kind, value = _kind_of_opt_out(where, text)
        if kind == "channel":
            self.channels |= {value, _name(value)}
        elif kind == "id":
            self.ids.add(value)
        elif kind == "host":
            self.hosts.add(value.lower().removeprefix("www."))
        else:
            self._add_opted_out_url(where, value)

    def _add_opted_out_url(self, where: str, text: str) -> None:
        from internvid.web.addresses import canonical_url

        url = _checked(where, text, canonical_url)
        parts = urlsplit(url)
        host, path = (parts.hostname or "").removeprefix("www."), parts.path.strip("/").split("/")
        youtube_id = _youtube_id(url, host, None)
        if youtube_id:
            self.ids.add(youtube_id)
        elif host == YOUTUBE and path[0] == "channel" and len(path) > 1:
            self.channels.add(path[1])
        elif host == YOUTUBE:
            raise ValueError(
                f"{where}: {text} is neither a video nor a channel by its id; give the channel's id (UC…), or its name "
                "as channel:NAME"
            )
        elif path == [""] and not parts.query:
            self.hosts.add(host)
        else:
            self.urls.add(url)


def _lines(path: str) -> Iterator[tuple[str, str]]:
    """Yields (place, text) of each line that is not empty, without comments."""
    for row in read_lines(_existing(path)):
        text = re.sub(r"\s#.*", "", row.cells["line"])  # within a word it is a URL's fragment
        yield f"{path}:{row.number}", text.strip()


def _benchmark_cells(path: str) -> Iterator[tuple[str, str]]:
    if not path.lower().endswith((".csv", ".tsv")):
        yield from _lines(path)
        return
    for row in read_sound_rows(_existing(path), ID_COLUMNS):
        column = next((name for name in ID_COLUMNS if name in row.cells), None)
        if column is None:
            raise ValueError(f"{path}:1: no column of ids; it may be called {', '.join(ID_COLUMNS)}")
        text = row.cells[column].strip()
        if not text:
            raise ValueError(f"{path}:{row.number}: the cell of {column} is empty")
        yield f"{path}:{row.number}", text


def _existing(path: str) -> Path:
    file = Path(path).expanduser()
    if not file.is_file():
        raise ValueError(f"{path} does not exist: INTERNVID_BENCHMARK_IDS and INTERNVID_OPT_OUTS name files")
    return file


def _kind_of_opt_out(where: str, text: str) -> tuple[str, str]:
    kind, colon, value = text.partition(":")
    if colon and kind in ("url", "id", "channel", "host") and value.strip():
        return kind, value.strip()
    if "://" in text:
        return "url", text
    if _CHANNEL_ID.fullmatch(text):
        return "channel", text
    if _YOUTUBE_ID.fullmatch(text):
        return "id", text
    if _HOST.fullmatch(text):
        return "host", text
    raise ValueError(
        f"{where}: {text!r} is no URL, YouTube id, channel id (UC…) or host; write {KINDS_OF_OPT_OUT} before it"
    )


def _checked(where: str, text: str, canonical: Callable[[str], str]) -> str:
    try:
        return canonical(text)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _youtube_id(url: str, host: str, site_key: str | None) -> str | None:
    """Returns the YouTube id of a canonical URL; None for other sites."""
    if host.removeprefix("www.") != YOUTUBE:
        return None
    in_url = parse_qs(urlsplit(url).query).get("v")
    return in_url[0] if in_url else site_key


def _name(channel: str) -> str:
    return " ".join(channel.casefold().split())


def _and_above(host: str) -> Iterator[str]:
    """Yields the host and its parent domains: a.b.org, b.org, org."""
    labels = host.lower().split(".")
    return (".".join(labels[first:]) for first in range(len(labels)))
