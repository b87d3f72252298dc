"""The manifest of an export, which strangers may have written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resources.corpus.exports.manifest import verify


@pytest.mark.parametrize("name", ["../outside.txt", "a/../../outside.txt", "/etc/hostname"])
def test_a_manifest_that_names_a_file_outside_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "outside.txt").write_text("of another")
    export = tmp_path / "export"
    export.mkdir()
    (export / "manifest.json").write_text(json.dumps({"files": [{"file": name, "bytes": 10, "sha256": "0" * 64}]}))
    with pytest.raises(ValueError, match="is not in the folder of the export"):
        list(verify(export))
