"""What never enters: videos of benchmarks, by files of their ids, and what its makers asked to be left out.

INTERNVID_BENCHMARK_IDS and INTERNVID_OPT_OUTS: those files, several joined by the system's separator of paths (`:`).
Read once a run. What was forgotten is kept out by the table tombstones.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

BENCHMARK_IDS, OPT_OUTS = "INTERNVID_BENCHMARK_IDS", "INTERNVID_OPT_OUTS"
YOUTUBE = "youtube.com"
ID_COLUMNS = ("youtube_id", "youtubeid", "video_id", "videoid", "ytid", "vid", "id", "url", "video_url", "video")

_YOUTUBE_ID = re.compile(r"[\w-]{11}", re.ASCII)
# As ActivityNet writes it (v_ before), and as Kinetics, MSVD and VATEX do (the span after).
_BENCHMARK_ID = re.compile(r"(?:v_)?([\w-]{11})(?:_\d+_\d+)?(?:\.(?:mp4|avi|mkv|webm))?", re.ASCII)
_CHANNEL_ID = re.compile(r"UC[\w-]{22}", re.ASCII)
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*|\d+(?:\.\d+){3}", re.IGNORECASE)
KINDS_OF_OPT_OUT = "url:, id:, channel: or host:"


@dataclass
class Exclusions:
    """What is refused. Ids are YouTube's among benchmarks, any site's among
    opt-outs; channels are ids, or names in lower case; a host stands for all below it, too.
    """

    benchmark_ids: set[str] = field(default_factory=set)
    benchmark_urls: set[str] = field(default_factory=set)
    urls: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    channels: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)

    @classmethod
    def of_environment(cls) -> Exclusions:
        """Raises ValueError where a file cannot be read, naming the line."""
        return cls.read(
            benchmark_files=_paths(os.environ.get(BENCHMARK_IDS, "")),
            opt_out_files=_paths(os.environ.get(OPT_OUTS, "")),
        )

    @classmethod
    def read(cls, benchmark_files: Sequence[str] = (), opt_out_files: Sequence[str] = ()) -> Exclusions:
        """benchmark_files: YouTube ids or URLs, one a line, or a csv or tsv with a column of them; ids may stand as
        Kinetics, VATEX, MSVD and ActivityNet write them. opt_out_files: URLs, YouTube ids, channels and hosts, one a
        line. # begins a comment.

        Raises ValueError for a file that is not there, and for a line that is none of these, naming it.
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
        """Class and reason why a source stays out; None for one that may come in. url: canonical, or of a file."""
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


def _paths(setting: str) -> list[str]:
    return [path for path in setting.split(os.pathsep) if path]


def _lines(path: str) -> Iterator[tuple[str, str]]:
    """Each line that says something, with where it stands."""
    for number, line in enumerate(_opened(path), 1):
        text = re.sub(r"(^|\s)#.*", "", line).strip()  # within a word it is a URL's fragment
        if text:
            yield f"{path}:{number}", text


def _benchmark_cells(path: str) -> Iterator[tuple[str, str]]:
    if not path.lower().endswith((".csv", ".tsv")):
        yield from _lines(path)
        return
    rows = csv.reader(_opened(path), delimiter="\t" if path.lower().endswith(".tsv") else ",")
    names = [name.strip().lower() for name in next(rows, [])]
    column = next((names.index(name) for name in ID_COLUMNS if name in names), None)
    if column is None:
        raise ValueError(f"{path}:1: no column of ids; it may be called {', '.join(ID_COLUMNS)}")
    for row in rows:
        if row and (len(row) <= column or not row[column].strip()):
            raise ValueError(f"{path}:{rows.line_num}: the cell of {names[column]} is empty")
        if row:
            yield f"{path}:{rows.line_num}", row[column].strip()


def _opened(path: str) -> Iterable[str]:
    file = Path(path).expanduser()
    if not file.is_file():
        raise ValueError(f"{path} is not there: {BENCHMARK_IDS} and {OPT_OUTS} name files")
    with file.open(encoding="utf-8-sig", newline="") as lines:
        yield from lines


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
        f"{where}: {text!r} is no URL, YouTube id, channel id (UC…) or host; say which by {KINDS_OF_OPT_OUT} before it"
    )


def _checked(where: str, text: str, canonical: Callable[[str], str]) -> str:
    try:
        return canonical(text)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _youtube_id(url: str, host: str, site_key: str | None) -> str | None:
    """Of a canonical URL."""
    if host.removeprefix("www.") != YOUTUBE:
        return None
    in_url = parse_qs(urlsplit(url).query).get("v")
    return in_url[0] if in_url else site_key


def _name(channel: str) -> str:
    return " ".join(channel.casefold().split())


def _and_above(host: str) -> Iterator[str]:
    """The host and those that it is under: a.b.org, b.org, org."""
    labels = host.lower().split(".")
    return (".".join(labels[first:]) for first in range(len(labels)))
