"""A model of the Hugging Face hub, or of a folder: its name, its state, its files. Downloads nothing by itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

WHOLE_BYTES = 1 << 20  # files up to this size are hashed whole
SAMPLED_BLOCKS = 64  # of larger ones so many blocks
BLOCK_BYTES = 64 << 10


@dataclass(frozen=True)
class HubModel:
    """weights: an id of the hub (`Salesforce/blip2-opt-2.7b`), or a folder as `save_pretrained` writes it. commit: of
    the hub, a commit, tag or branch; a folder has none.
    """

    weights: str
    commit: str = "main"

    @property
    def is_folder(self) -> bool:
        return Path(self.weights).expanduser().is_dir()

    @property
    def source(self) -> dict[str, Any]:
        """As `from_pretrained` takes it; code that comes with a model is never run. Of a branch whose files are here
        that commit is loaded which `revision` names, though the hub may have a newer one.
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
        """The id, or the folder's name."""
        return Path(self.weights).expanduser().resolve().name if self.is_folder else self.weights

    @property
    def files(self) -> Path | None:
        """The folder of its files; None where they are not on this machine."""
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
        """The commit that the files here are of; of a folder a hash. None where they are not on this machine."""
        files = self.files
        if files is None:
            return None
        return folder_digest(files) if self.is_folder else files.name

    @property
    def version(self) -> str:
        """Readable, and the same before and after the hub's files were fetched: a branch stays a branch."""
        return f"{self.name}@{(self.revision or '')[:12] if self.is_folder else self.commit}"

    @property
    def size_bytes(self) -> int | None:
        files = self.files
        return None if files is None else sum(file.stat().st_size for file in files.rglob("*") if file.is_file())


def folder_digest(folder: Path) -> str:
    """A hash of the files' names and contents, 32 hex digits; of large files of blocks spread over them, so that
    gigabytes of weights cost no more than a moment.
    """
    hashed = hashlib.md5(usedforsecurity=False)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        size = file.stat().st_size
        hashed.update(f"{file.relative_to(folder).as_posix()}\0{size}\0".encode())
        with file.open("rb") as opened:
            if size <= WHOLE_BYTES:
                hashed.update(opened.read())
                continue
            for block in range(SAMPLED_BLOCKS):
                opened.seek(block * (size - BLOCK_BYTES) // (SAMPLED_BLOCKS - 1))
                hashed.update(opened.read(BLOCK_BYTES))
    return hashed.hexdigest()
