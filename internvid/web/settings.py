"""How videos are had from the web: what is taken, by which way, within which limits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DownloadSettings:
    """The crawl rules, as the paper has them, and the way to the web.

    Rules that a site's metadata do not decide are the caller's to check from the file.
    """

    shortest_seconds: float = 10
    longest_seconds: float = 1800
    shortest_side: int = 360  # of the picture's shorter side, pixels
    longest_short_side: int = 720  # the highest up to it is taken; where there is none, the lowest above it
    most_bytes: int = 4 * 2**30
    # What img2dataset refuses (noai, noimageai, noindex, noimageindex), and none, which says noindex and nofollow.
    robots_refused: tuple[str, ...] = ("noai", "noimageai", "noindex", "noimageindex", "none")

    subtitles: bool = True  # that people wrote, in all languages
    automatic_subtitles: bool = True  # recognised by the site: in the language that is spoken, never translated ones
    most_subtitles: int = 40  # of a video: some have a hundred languages

    cookies_file: str | None = None  # Netscape's format; it is read, never written
    proxy: str | None = None  # URL; none otherwise, whatever the environment says. Its address must be allowed
    user_agent: str | None = None
    javascript_runtime: str | None = None  # path of deno, node, bun or qjs, for YouTube: `javascript_runtime()`
    bytes_per_second: float | None = None
    timeout_seconds: float = 20  # without a byte
    # Addresses or networks beside the public ones that may be connected to, such as 127.0.0.1/32.
    allowed_addresses: tuple[str, ...] = ()
