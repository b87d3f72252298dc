"""FiftyOne's `FiftyOneTemporalDetectionDataset`: videos in data/, and labels.json with the spans that are told of each.

    import fiftyone as fo
    fo.Dataset.from_dir(dataset_dir=OUT, dataset_type=fo.types.FiftyOneTemporalDetectionDataset)

A clip is a video with one span, its whole length, whose label is the caption. Without clips, the videos are where the
lake has them, named by their whole paths, each with the spans of its clips.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any

from internvid.report.whole_file import whole_file
from resources.corpus.exports.forms.form import Form, exported_rows
from resources.corpus.exports.layout import ExportFolder, Row
from resources.corpus.exports.manifest import as_json

LABELS = "labels.json"


class FiftyOne(Form):
    name = "fiftyone"
    clips_folder = "data"

    def whole(self, folder: ExportFolder) -> Iterator[str]:
        with whole_file(folder.path / LABELS) as file:
            # Without a list of classes, a label is its own text.
            file.write('{"classes": null, "labels": {')
            begin = "\n"
            for video, rows in groupby(exported_rows(folder), key=_video):
                file.write(f"{begin}{as_json(video)}: {as_json([span(row) for row in rows])}")
                begin = ",\n"
            file.write("\n}}\n")
        yield LABELS


def _video(row: Row) -> str:
    """Returns the id of a video: its path within data/, without the suffix."""
    if row["file"]:
        return str(PurePosixPath(row["file"]).relative_to(FiftyOne.clips_folder).with_suffix(""))
    return row["path"]


def span(row: Row) -> dict[str, Any]:
    """Returns the label of a clip within its file or video. support: its first and last frame, counted from 1."""
    is_whole = row["file"] and (row["file_start_seconds"], row["file_end_seconds"]) == (
        row["start_seconds"],
        row["end_seconds"],
    )
    if is_whole:
        where: dict[str, Any] = {"support": [1, row["frames"]]}
    elif row["file"]:
        begin = row["file_start_seconds"]
        where = {"timestamps": [row["start_seconds"] - begin, row["end_seconds"] - begin]}
    else:
        where = {"support": [row["start_frame"] + 1, row["end_frame"]]}
    names = ("clip_id", "split", "source", "caption_model", "licence")
    attributes = {name: row[name] for name in names if row[name] is not None} | row["scores"]
    return {"label": row["caption"], **where, "attributes": attributes}
