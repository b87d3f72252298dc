"""What a form of exports is, and how it writes JSON of any length."""

from __future__ import annotations

import json
from abc import ABC
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import pyarrow as pa

from internvid.report.whole_file import whole_file
from resources.corpus.exports.layout import SUCCESS, ExportFolder, Part, Row
from resources.corpus.exports.manifest import as_json

if TYPE_CHECKING:
    from internvid.report.dataset_card import Facts


# What columnar forms tell of a clip.
CLIP_COLUMNS = pa.schema(
    [
        ("clip_id", pa.string()),
        ("caption", pa.string()),
        ("caption_model", pa.string()),
        ("video_id", pa.string()),
        ("source", pa.string()),
        ("title", pa.string()),
        ("licence", pa.string()),
        ("start_seconds", pa.float64()),
        ("end_seconds", pa.float64()),
        ("file_start_seconds", pa.float64()),
        ("seconds", pa.float64()),
        ("frames", pa.int64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("transcript", pa.string()),
        ("transcript_language", pa.string()),
        ("flags", pa.list_(pa.string())),
        ("motion", pa.float32()),
        ("scores", pa.string()),
    ]
)


class Form(ABC):
    """Writes an export as its readers expect it: what is of a part when that is done, what is of the whole at the end.

    packs: whether clips lie within the form's own files; else each is a file in `clips_folder`, in one folder a part.
    """

    name: str
    packs: bool = False
    clips_folder: str = "clips"

    def place(self, part: str, file_name: str) -> str:
        """Returns where a clip lies, from the export's folder, or its name within the part's own file."""
        return f"{self.clips_folder}/{part}/{file_name}"

    def write(self, part: Part, folder: Path) -> None:  # noqa: B027 - of some forms nothing is written by parts
        """Writes the files of a part into a folder that is laid out as the export's. The index is not its business."""

    def clips(self, folder: ExportFolder, number: int, rows: Iterable[Row]) -> Iterator[tuple[str, bytes]]:
        """Yields the name of each clip of a part that the form packs, and its bytes."""
        raise NotImplementedError

    def whole(self, folder: ExportFolder) -> Iterator[str]:
        """Writes what is of all parts together; yields the names of the files."""
        yield from ()

    def configurations(self, facts: Facts) -> list[dict[str, Any]]:
        """Returns `configs` of the dataset card, by which `datasets` finds the files; empty where it cannot."""
        return []


def exported_rows(folder: ExportFolder) -> Iterator[dict[str, Any]]:
    """Yields the rows of the clips that are in the export, in order."""
    return (row for row in folder.all_rows() if row["status"] == SUCCESS)


def span_of(row: Row) -> tuple[float, float]:
    """Returns begin and end of the clip in the source, in seconds; of a copied one those of its file."""
    begin, end = ("file_start_seconds", "file_end_seconds") if row["file"] else ("start_seconds", "end_seconds")
    return row[begin], row[end]


def seconds_of(row: Row) -> float:
    """Returns how long the clip lasts; of a copied one its file."""
    begin, end = span_of(row)
    return end - begin


def values_of(row: Row, columns: pa.Schema) -> dict[str, Any]:
    """Returns the row as a columnar form has it, but for the clip itself. columns: CLIP_COLUMNS and others."""
    values = {name: row.get(name) for name in columns.names}
    return values | {"seconds": seconds_of(row), "scores": json.dumps(row["scores"], sort_keys=True)}


class SplitFiles:
    """Text files, one a split, which are opened when the first row of the split comes, and replaced as a whole."""

    def __init__(self, folder: Path, pattern: str, begin: str, end: str) -> None:
        self._folder, self._pattern, self._begin, self._end = folder, pattern, begin, end
        self._stack = ExitStack()
        self._files: dict[str, TextIO] = {}

    @contextmanager
    def open(self) -> Iterator[SplitFiles]:
        with self._stack:
            yield self
            for file in self._files.values():
                file.write(self._end)

    @property
    def names(self) -> list[str]:
        return [self._pattern.format(split=split) for split in self._files]

    def file(self, split: str) -> tuple[TextIO, bool]:
        """Returns the file of a split, and whether nothing but its beginning is in it."""
        is_new = split not in self._files
        if is_new:
            path = self._folder / self._pattern.format(split=split)
            self._files[split] = self._stack.enter_context(whole_file(path))
            self._files[split].write(self._begin)
        return self._files[split], is_new


def write_json_lists(folder: ExportFolder, pattern: str, items: Iterable[tuple[str, Any]]) -> list[str]:
    """Writes a JSON list for each split, item by item. Returns the names. items: pairs of split and item."""
    lists = SplitFiles(folder.path, pattern, "[", "\n]\n")
    with lists.open():
        for split, item in items:
            file, is_new = lists.file(split)
            file.write(f"{'' if is_new else ','}\n{as_json(item)}")
    return lists.names
