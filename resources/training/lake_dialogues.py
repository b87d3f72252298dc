"""Reads the dialogues about a subset's clips for training, as they were at a snapshot.

`index_dialogues` writes an Arrow file beside the index of the clips; `LakeDialogues` maps it into memory, and reads one
dialogue at a time. Heavy packages are not imported here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from internvid.dialogue.instructions import turns_about
from internvid.dialogue.prompt import AskedTurn, ShownClip, VideoDialogue
from resources.lake.statements import statement
from resources.lake.temporary_folders import temporary_folder

if TYPE_CHECKING:
    from resources.lake.store import Lake
    from resources.training.lake_clips import LakeClips

FILE_NAME = "dialogues.arrow"  # of the index, beside that of the clips
ROWS_PER_BATCH = 1_000
MEMORY_LIMIT = "2GB"  # of the joins; what exceeds it goes to files beside the index
TABLES = ("dialogues", "clips", "transcripts")

_SHOWN = pa.struct(
    [
        ("position", pa.int64()),
        ("start_seconds", pa.float64()),
        ("end_seconds", pa.float64()),
        ("speech", pa.string()),
    ]
)
_TURN = pa.struct([("question", pa.string()), ("answer", pa.string()), ("clips", pa.list_(pa.int32()))])
INDEX = pa.schema([("dialogue_id", pa.string()), ("shown", pa.list_(_SHOWN)), ("turns", pa.list_(_TURN))])


def index_dialogues(lake: Lake, clips_index: Path, path: Path, *, snapshot: str) -> int:
    """Writes the Arrow file that `LakeDialogues` reads, and returns the number of its dialogues.

    clips_index: the file of `index_clips`, of the same snapshot. A dialogue shows those of its clips that are in it,
    and has the turns that need no others; without a turn it is left out. The index appears whole or not at all.
    """
    with (
        temporary_folder(path.parent) as folder,
        pa.memory_map(str(clips_index)) as mapped,
        lake.connect(TABLES, at=snapshot, memory_limit=MEMORY_LIMIT) as connection,
    ):
        connection.execute("SET temp_directory = $1", [str(folder)])
        clip_ids = pa.ipc.open_file(mapped).read_all()["clip_id"]
        indexed = pa.table({"clip_id": clip_ids, "position": pa.array(np.arange(len(clip_ids)))})
        connection.register("indexed", indexed)
        part = folder / path.name
        written = 0
        with pa.ipc.new_file(part, INDEX.with_metadata({"snapshot": snapshot})) as file:
            reader = connection.sql(statement("training/dialogue_index")).to_arrow_reader(ROWS_PER_BATCH)
            for batch in reader:
                rows = list(_rows(batch.to_pylist()))
                file.write_batch(pa.RecordBatch.from_pylist(rows, schema=INDEX))
                written += len(rows)
        os.replace(part, path)
    return written


def _rows(batch: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in batch:
        numbers = {clip["clip_id"]: number for number, clip in enumerate(row["shown"], 1)}
        turns = [
            {
                "question": turn["question"],
                "answer": turn["answer"],
                "clips": sorted(numbers[clip_id] for clip_id in turn["clip_ids"]),
            }
            for turn in turns_about(json.loads(row["turns"]), numbers)
        ]
        if turns:
            shown = [{field.name: clip[field.name] for field in _SHOWN} for clip in row["shown"]]
            yield {"dialogue_id": row["dialogue_id"], "shown": shown, "turns": turns}


class LakeDialogues:
    """The `VideoDialogues` of an index. clips: those of the index that it was made with."""

    def __init__(self, path: Path, clips: LakeClips) -> None:
        self.clips = clips
        self._index = pa.ipc.open_file(pa.memory_map(str(path))).read_all()

    def __len__(self) -> int:
        return self._index.num_rows

    def dialogue(self, position: int) -> VideoDialogue:
        row = {name: self._index[name][position].as_py() for name in INDEX.names}
        shown = tuple(
            ShownClip(clip["position"], clip["start_seconds"], clip["end_seconds"], clip["speech"])
            for clip in row["shown"]
        )
        turns = tuple(AskedTurn(turn["question"], turn["answer"], tuple(turn["clips"])) for turn in row["turns"])
        return VideoDialogue(row["dialogue_id"], shown, turns)
