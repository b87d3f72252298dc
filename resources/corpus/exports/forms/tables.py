"""CSV files with the columns of OpenVid-1M and of Koala-36M. What is not measured here is empty, never guessed."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from typing import Any

from internvid.report.internvid_jsonl import timestamp, youtube_id
from resources.corpus.exports.forms.form import Form, SplitFiles, exported_rows, seconds_of
from resources.corpus.exports.layout import ExportFolder, Row

OPENVID = (
    "video", "caption", "aesthetic score", "motion score", "temporal consistency score", "camera motion", "frame",
    "fps", "seconds",
)  # fmt: skip
KOALA = (
    "videoID", "url", "timestamp", "caption", "clarity_score", "aesthetic_score", "motion_score",
    "video_training_suitability_score",
)  # fmt: skip


class Tables(Form):
    name = "csv"

    def whole(self, folder: ExportFolder) -> Iterator[str]:
        for pattern, columns, line in (
            ("{split}/openvid.csv", OPENVID, openvid_line),
            ("{split}/koala.csv", KOALA, koala_line),
        ):
            yield from _write(folder, pattern, columns, line)


def _write(folder: ExportFolder, pattern: str, columns: tuple[str, ...], line: Callable[[Row], list[Any]]) -> list[str]:
    tables = SplitFiles(folder.path, pattern, "", "")
    with tables.open():
        for row in exported_rows(folder):
            file, is_new = tables.file(row["split"])
            writer = csv.writer(file, lineterminator="\n")
            if is_new:
                writer.writerow(columns)
            writer.writerow(line(row))
    return tables.names


def openvid_line(row: Row) -> list[Any]:
    seconds = seconds_of(row)
    frames = row["frames"] or row.get("end_frame", 0) - row.get("start_frame", 0)
    return [
        row["file"] or row["source"],
        row["caption"],
        row["scores"].get("aesthetics"),
        row["motion"],
        None,
        None,
        frames,
        round(frames / seconds, 3) if seconds else None,
        round(seconds, 3),
    ]


def koala_line(row: Row) -> list[Any]:
    span = [timestamp(row["start_seconds"]), timestamp(row["end_seconds"])]
    return [
        youtube_id(row["source"]) or row["video_id"],
        row["source"],
        str(span),
        row["caption"],
        None,
        row["scores"].get("aesthetics"),
        row["motion"],
        None,
    ]
