"""A model of the Hugging Face hub or of a folder: its name, version and files. Nothing here downloads files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

MAX_FULL_HASH_BYTES = 1 << 20  # larger files are hashed by sampled blocks
SAMPLED_BLOCKS = 64  # per larger file
BLOCK_BYTES = 64 << 10


@dataclass(frozen=True)
class HubModel:
    """A model by its location.

    weights: an id of the hub (`Salesforce/blip2-opt-2.7b`), or a folder that `save_pretrained` wrote.
    commit: commit, tag or branch on the hub; unused for a folder.
    """

    weights: str
    commit: str = "main"

    @property
    def is_folder(self) -> bool:
        return Path(self.weights).expanduser().is_dir()

    @property
    def source(self) -> dict[str, Any]:
        """Keyword arguments for `from_pretrained`. Code that comes with a model is never run.

        If the files of a branch are on this machine, their commit is loaded, even if the hub has a newer one.
        """
        if self.is_folder:
            return {"pretrained_model_name_or_path": str(self.files), "trust_remote_code": False}
        return {
            "pretrained_model_name_or_path": self.weights,
            "revision": self.revision or self.commit,
            "trust_remote_code": False,
        }

    @property
    def name(self) -> str:
        """The hub id, or the folder's name."""
        return Path(self.weights).expanduser().resolve().name if self.is_folder else self.weights

    @property
    def files(self) -> Path | None:
        """The folder with the model's files; None if they are not on this machine."""
        if self.is_folder:
            return Path(self.weights).expanduser()
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

        try:
            return Path(snapshot_download(self.weights, revision=self.commit, local_files_only=True))
        except (LocalEntryNotFoundError, HFValidationError):
            return None

    @cached_property
    def revision(self) -> str | None:
        """The commit of the files on this machine, or a hash of the folder; None if they are not on this machine."""
        files = self.files
        if files is None:
            return None
        return folder_digest(files) if self.is_folder else files.name

    @property
    def version(self) -> str:
        """Name and commit. It does not change when the hub's files are downloaded: a branch is named as a branch."""
        return f"{self.name}@{(self.revision or '')[:12] if self.is_folder else self.commit}"

    @property
    def size_bytes(self) -> int | None:
        files = self.files
        return None if files is None else sum(file.stat().st_size for file in files.rglob("*") if file.is_file())


def folder_digest(folder: Path) -> str:
    """Returns a hash (32 hex digits) of the names and contents of the folder's files.

    Of large files only evenly spaced blocks are hashed, so that gigabytes of weights take a fraction of a second.
    """
    digest = hashlib.md5(usedforsecurity=False)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        size = file.stat().st_size
        digest.update(f"{file.relative_to(folder).as_posix()}\0{size}\0".encode())
        with file.open("rb") as opened:
            if size <= MAX_FULL_HASH_BYTES:
                digest.update(opened.read())
                continue
            for block in range(SAMPLED_BLOCKS):
                opened.seek(block * (size - BLOCK_BYTES) // (SAMPLED_BLOCKS - 1))
                digest.update(opened.read(BLOCK_BYTES))
    return digest.hexdigest()
