"""A single small file of weights, given by path or URL, such as no hub's repository holds."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

MAX_BYTES = 64 << 20  # heads are kilobytes; a larger file is something else
SECONDS_WITHOUT_ANSWER = 30


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights.

    location: a path, or a URL that begins with https://. sha256: required hash of the file in hex; empty accepts any.
    cache: folder for downloaded files, None for the Hugging Face hub's.
    """

    location: str
    sha256: str = ""
    cache: Path | None = None

    @property
    def is_url(self) -> bool:
        return "://" in self.location

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        path = unquote(urlsplit(self.location).path) if self.is_url else self.location
        return PurePosixPath(path).stem

    @property
    def file(self) -> Path | None:
        """The file's path on this machine; None where it is not here."""
        path = self._cached if self.is_url else Path(self.location).expanduser()
        return path if path.is_file() else None

    @property
    def digest(self) -> str | None:
        """The sha256 of the file's contents; None where it is not on this machine."""
        file = self.file
        return None if file is None else hashlib.sha256(file.read_bytes()).hexdigest()

    @property
    def version(self) -> str:
        """A readable version; the same before and after a URL was fetched."""
        if self.sha256:
            state = self.sha256.lower()
        elif self.is_url:
            state = hashlib.sha256(self.location.encode()).hexdigest()
        else:
            state = self.digest or ""
        return f"{self.name}@{state[:12]}"

    def fetched(self) -> Path:
        """The file's path on this machine; a URL is downloaded once.

        Raises FileNotFoundError for a path that does not exist, OSError where a download fails, and ValueError for a
        URL without https, a file that is too large, and a file with another sha256.
        """
        file = self.file
        if file is None:
            if not self.is_url:
                raise FileNotFoundError(f"there is no file {self.location}")
            file = self._download()
        if self.sha256 and self.digest != self.sha256.lower():
            raise ValueError(f"{file} has the sha256 {self.digest}, not {self.sha256}: it is another file")
        return file

    @property
    def _cached(self) -> Path:
        from huggingface_hub import cached_assets_path

        key = hashlib.sha256(self.location.encode()).hexdigest()[:16]
        folder = cached_assets_path("internvid", "weights", key, assets_dir=self.cache)
        return folder / (PurePosixPath(unquote(urlsplit(self.location).path)).name or "weights")

    def _download(self) -> Path:
        _require_https(self.location)
        file = self._cached
        request = Request(self.location, headers={"User-Agent": "internvid-lakehouse"})
        with build_opener(_HttpsOnly).open(request, timeout=SECONDS_WITHOUT_ANSWER) as response:
            contents = _read(response, self.location)
        with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as unfinished:
            unfinished.write(contents)
        os.replace(unfinished.name, file)
        return file


class _HttpsOnly(HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        _require_https(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _require_https(url: str) -> None:
    if not url.startswith("https://"):
        raise ValueError(f"{url} is not fetched: weights come over https only")


def _read(response: HTTPResponse, url: str) -> bytes:
    length = response.headers.get("Content-Length")
    contents = b"" if length and int(length) > MAX_BYTES else response.read(MAX_BYTES + 1)
    if max(len(contents), int(length or 0)) > MAX_BYTES:
        raise ValueError(f"{url} is larger than {MAX_BYTES >> 20} MiB, which no such file is")
    if length and int(length) != len(contents):
        raise OSError(f"{url}: {len(contents)} of {length} bytes came")
    return contents
