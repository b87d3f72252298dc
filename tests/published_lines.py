"""The lines of a published export, read as others read it: by its manifest and its lists."""

import json
from pathlib import Path


def published_lines(root: Path | str) -> list[str]:
    """Returns the lines of all files of the lake's export, in order of batches."""
    folder = Path(root, "internvid_jsonl")
    manifest = json.loads((folder / "manifest.json").read_text())
    lists = [json.loads((folder / group["list"]).read_text()) for group in manifest["groups"].values()]
    files = sorted((file for of_group in lists for file in of_group["files"]), key=lambda file: file["ingest_batch"])
    texts = [(folder / file["file"]).read_text(encoding="utf-8") for file in files]
    return "".join(texts).splitlines()
