"""Writes the dialogues about a subset's clips as files, in the form in which trainers of video assistants read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from internvid.dialogue.instructions import VERSION, instruction, turns_about
from resources.corpus.published_subset import PublishedRecord, RecordKind, publish_subset
from resources.lake.statements import statement
from resources.lake.store import Lake

if TYPE_CHECKING:
    from resources.corpus.published_subset import SubsetPublication

FOLDER = "instructions"
TABLES = ("dialogues", "raw_videos", "subsets")
MEMORY_LIMIT = "1GB"
DIALOGUES_PER_READ = 500

KIND = "instructions"
MESSAGE = pa.struct([("from", pa.string()), ("value", pa.string())])
TURN = pa.struct(
    [
        ("kind", pa.string()),
        ("clip_ids", pa.list_(pa.string())),
        ("facts", pa.string()),
        ("could_show", pa.string()),
    ]
)
INSTRUCTIONS = pa.schema(
    [
        ("id", pa.string()),
        ("video", pa.string()),
        ("conversations", pa.list_(MESSAGE)),
        ("start", pa.float64()),
        ("end", pa.float64()),
        ("clip_ids", pa.list_(pa.string())),
        ("turns", pa.list_(TURN)),
        ("split", pa.string()),
        ("model", pa.string()),
    ]
)


def publish_instructions(lake: Lake, subset: str, snapshot: str) -> SubsetPublication:
    """Brings the folder of the subset to the dialogues of its snapshot.

    A turn is in it if the subset has all clips that it names; a dialogue, if it has such a turn.
    """
    only = {"subset": subset}
    (made_of,) = lake.query(
        statement("corpus/instructions_summary"), tables=["dialogues", "subsets"], at=snapshot, only=only
    ).to_pylist()
    return publish_subset(
        lake,
        FOLDER,
        subset,
        snapshot=snapshot,
        form=VERSION,
        parameters={},
        made_of=made_of,
        kinds=[RecordKind(KIND, INSTRUCTIONS)],
        records=_records(lake, subset, snapshot),
    )


def _records(lake: Lake, subset: str, snapshot: str) -> Iterator[PublishedRecord]:
    with lake.connect(TABLES, at=snapshot, only={"subset": subset}, memory_limit=MEMORY_LIMIT) as connection:
        reader = connection.sql(statement("corpus/instructions_of_subset")).to_arrow_reader(DIALOGUES_PER_READ)
        for batch in reader:
            for row in batch.to_pylist():
                turns = turns_about(json.loads(row["turns"]), row["clips_of_subset"])
                if turns:
                    yield PublishedRecord(KIND, _instruction(row, turns))


def _instruction(row: dict[str, Any], turns: list[Any]) -> dict[str, Any]:
    chosen = set(row["clips_of_subset"])
    return instruction(
        row["dialogue_id"],
        row["source"],
        turns,
        start=row["start_seconds"],
        end=row["end_seconds"],
        clip_ids=[clip_id for clip_id in row["clip_ids"] if clip_id in chosen],
        turns=[
            {
                "kind": turn["kind"],
                "clip_ids": turn["clip_ids"],
                "facts": json.dumps(turn["facts"], ensure_ascii=False),
                "could_show": turn["could_show"],
            }
            for turn in turns
        ],
        split=row["split"],
        model=row["model"],
    )
