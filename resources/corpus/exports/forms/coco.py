"""COCO's JSON for captions, which evaluation code reads (pycocoevalcap, …): a clip stands where an image does."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from internvid.report.whole_file import whole_file
from resources.corpus.exports.forms.form import Form, exported_rows
from resources.corpus.exports.layout import ExportFolder
from resources.corpus.exports.manifest import as_json


class Coco(Form):
    name = "coco"

    def whole(self, folder: ExportFolder) -> Iterator[str]:
        for split in [split for split, _ in groupby(exported_rows(folder), key=lambda row: row["split"])]:
            name = f"captions_{split}.json"
            with whole_file(folder.path / name) as file:
                file.write('{"info": {"description": "internvid-lakehouse"}, "licenses": [], "type": "captions"')
                for key, items in (("images", self._images), ("annotations", self._captions)):
                    file.write(f', "{key}": [')
                    for number, item in enumerate(items(folder, split)):
                        file.write(f"{',' if number else ''}\n{as_json(item)}")
                    file.write("\n]")
                file.write("}\n")
            yield name

    @staticmethod
    def _images(folder: ExportFolder, split: str) -> Iterator[dict[str, object]]:
        rows = (row for row in exported_rows(folder) if row["split"] == split)
        for number, row in enumerate(rows, start=1):
            yield {
                "id": number,
                "file_name": row["file"] or row["source"],
                "clip_id": row["clip_id"],
                "width": row["width"] or row["video_width"],
                "height": row["height"] or row["video_height"],
                "start_seconds": row["start_seconds"],
                "end_seconds": row["end_seconds"],
            }

    @staticmethod
    def _captions(folder: ExportFolder, split: str) -> Iterator[dict[str, object]]:
        rows = (row for row in exported_rows(folder) if row["split"] == split)
        for number, row in enumerate(rows, start=1):
            yield {"id": number, "image_id": number, "caption": row["caption"]}
