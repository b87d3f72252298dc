"""Settings of downloads from the web: crawl rules, limits, and how to connect."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DownloadSettings:
    """The paper's crawl rules, and how to connect.

    A rule that the site's metadata cannot decide must be checked by the caller on the file.
    """

    min_duration_seconds: float = 10
    max_duration_seconds: float = 1800
    min_short_side: int = 360  # pixels of the picture's shorter side
    max_short_side: int = 720  # the largest format up to this is taken; if there is none, the smallest above it
    max_bytes: int = 4 * 2**30
    # img2dataset's directives (noai, noimageai, noindex, noimageindex), and none, which means noindex and nofollow.
    robots_refused: tuple[str, ...] = ("noai", "noimageai", "noindex", "noimageindex", "none")

    subtitles: bool = True  # written by people, in all languages
    automatic_subtitles: bool = True  # recognised by the site: in the spoken language only, never translated
    max_subtitles: int = 40  # per video: some have a hundred languages

    cookies_file: str | None = None  # path, in Netscape's format; read, never written
    proxy: str | None = None  # URL; the environment's proxy is not used. Its address must be allowed
    user_agent: str | None = None
    javascript_runtime: str | None = None  # path of deno, node, bun or qjs, for YouTube: `javascript_runtime()`
    bytes_per_second: float | None = None
    timeout_seconds: float = 20  # without receiving a byte
    # Addresses or networks that may be reached although they are not public, such as 127.0.0.1/32.
    allowed_addresses: tuple[str, ...] = ()
