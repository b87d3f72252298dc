"""The lines of a published export, read as others read it: by its manifest."""

import json
from pathlib import Path


def published_lines(root: Path | str) -> list[str]:
    """Returns the lines of all files of the lake's export, in the order of the manifest."""
    folder = Path(root, "internvid_jsonl")
    manifest = json.loads((folder / "manifest.json").read_text())
    texts = [(folder / file["file"]).read_text(encoding="utf-8") for file in manifest["files"]]
    return "".join(texts).splitlines()
