"""A single small file of weights, by its path or its URL: one that no repository of a hub holds."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

BYTES_AT_MOST = 64 << 20  # heads are kilobytes; whatever is larger is something else
SECONDS_WITHOUT_ANSWER = 30


@dataclass(frozen=True)
class WeightsFile:
    """location: a path, or a URL that begins with https://. sha256: that the file must have, in hex; empty: any.
    cache: folder for what is fetched, None for the Hugging Face hub's.
    """

    location: str
    sha256: str = ""
    cache: Path | None = None

    @property
    def is_url(self) -> bool:
        return "://" in self.location

    @property
    def name(self) -> str:
        """Of the file, without its ending."""
        path = unquote(urlsplit(self.location).path) if self.is_url else self.location
        return PurePosixPath(path).stem

    @property
    def file(self) -> Path | None:
        """Where it lies on this machine; None where it does not."""
        path = self._cached if self.is_url else Path(self.location).expanduser()
        return path if path.is_file() else None

    @property
    def digest(self) -> str | None:
        """The sha256 of its contents; None where it is not on this machine."""
        file = self.file
        return None if file is None else hashlib.sha256(file.read_bytes()).hexdigest()

    @property
    def version(self) -> str:
        """Readable, and the same before and after a URL was fetched."""
        if self.sha256:
            state = self.sha256.lower()
        elif self.is_url:
            state = hashlib.sha256(self.location.encode()).hexdigest()
        else:
            state = self.digest or ""
        return f"{self.name}@{state[:12]}"

    def fetched(self) -> Path:
        """Where it lies, fetched once where it is a URL.

        Raises FileNotFoundError for a path that is not there, OSError where a URL cannot be had, and ValueError for a
        URL without https, a file that is too large, and one that has another sha256.
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
    told = response.headers.get("Content-Length")
    contents = b"" if told and int(told) > BYTES_AT_MOST else response.read(BYTES_AT_MOST + 1)
    if max(len(contents), int(told or 0)) > BYTES_AT_MOST:
        raise ValueError(f"{url} is larger than {BYTES_AT_MOST >> 20} MiB, which no such file is")
    if told and int(told) != len(contents):
        raise OSError(f"{url}: {len(contents)} of {told} bytes came")
    return contents
