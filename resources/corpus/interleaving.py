"""Makes the interleaved documents of a subset from the lake, and writes them as files. What a document is, is in
`internvid.interleaved.documents`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa
from pydantic import Field

from internvid.interleaved.documents import (
    FORMS,
    VERSION,
    Document,
    DocumentClip,
    Form,
    as_dicts,
    document_of,
    stream_of,
)
from resources.corpus.published_subset import PublishedRecord, RecordKind, publish_subset
from resources.incremental.stage import Rows
from resources.lake.schema import INTERLEAVED
from resources.lake.statements import statement
from resources.lake.store import Lake

if TYPE_CHECKING:
    import duckdb

    from resources.corpus.published_subset import SubsetPublication

FOLDER = "interleaved"
MEMORY_LIMIT = "1GB"  # the sort of a large subset goes on in files
CLIPS_PER_READ = 2_000
DOCUMENTS_PER_BATCH = 200
DOCUMENTS_PER_READ = 200
CHARACTERS_PER_BATCH = 8_000_000

# Of a clip, as parquet has it.
CLIP = pa.struct(
    [
        ("clip_id", pa.string()),
        ("video_id", pa.string()),
        ("uri", pa.string()),
        ("start_seconds", pa.float64()),
        ("end_seconds", pa.float64()),
        ("frame_id", pa.string()),
        ("frame_seconds", pa.float64()),
        ("image_index", pa.int32()),
        ("text_index", pa.int32()),
        ("speech_index", pa.int32()),
    ]
)
OF_BOTH = [("id", pa.string()), ("form", pa.string()), ("split", pa.string()), ("video_ids", pa.list_(pa.string()))]
LISTS = pa.schema(
    [*OF_BOTH, ("texts", pa.list_(pa.string())), ("images", pa.list_(pa.string())), ("clips", pa.list_(CLIP))]
)
STREAM = pa.schema([*OF_BOTH, ("text", pa.string()), ("videos", pa.list_(CLIP))])


class Interleaving(dg.ConfigurableResource):
    """How documents are made.

    drop: probability with which the video of a clip is dropped, its texts staying. seed: of what is dropped, and of
    which two videos make a document of form c.
    """

    drop: float = Field(default=0.3, ge=0, le=1)
    seed: int = 42

    def version(self, form: Form) -> str:
        return f"{VERSION}+form-{form}+drop={self.drop:g}+seed={self.seed}"


def made_documents(
    lake: Lake, interleaving: Interleaving, subset: str, form: Form, snapshot: str
) -> tuple[Rows, ExitStack] | None:
    """Returns the rows of `interleaved` for a form, as a stream, and what is to be closed after it; None without any.

    They are made video by video; of the subset only the sort is held, in files where it is large.
    """
    tables = ["subsets", "clips", "clip_captions", "frames", "raw_videos", "transcripts"]
    with ExitStack() as stack:
        connection = stack.enter_context(
            lake.connect(tables, at=snapshot, only={"subset": subset}, memory_limit=MEMORY_LIMIT)
        )
        connection.execute(
            f"create temp table documents as {statement('corpus/interleaved_documents')}",
            {"subset": subset, "form": form, "seed": interleaving.seed},
        )
        (count,) = connection.sql("select count(distinct document) from documents").fetchall()[0]
        if not count:
            return None
        until_read = stack.pop_all()
    return Rows(count, _batches(connection, interleaving, subset, form)), until_read


def _batches(
    connection: duckdb.DuckDBPyConnection, interleaving: Interleaving, subset: str, form: Form
) -> Iterator[pa.RecordBatch]:
    rows: list[dict[str, Any]] = []
    characters = 0
    for clips in _by_document(connection, subset):
        document = document_of(
            [_clip(clip) for clip in clips],
            with_speech=form == "b",
            drop=interleaving.drop,
            seed=interleaving.seed,
        )
        rows.append(_row(subset, form, clips[0]["split"], document))
        characters += len(rows[-1]["clips"]) + sum(len(text or "") for text in document.texts)
        if len(rows) >= DOCUMENTS_PER_BATCH or characters >= CHARACTERS_PER_BATCH:
            yield pa.RecordBatch.from_pylist(rows, schema=INTERLEAVED.content)
            rows, characters = [], 0
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=INTERLEAVED.content)


def _by_document(connection: duckdb.DuckDBPyConnection, subset: str) -> Iterator[list[dict[str, Any]]]:
    reader = connection.sql(statement("corpus/interleaved_clips"), params={"subset": subset}).to_arrow_reader(
        CLIPS_PER_READ
    )
    clips = (clip for batch in reader for clip in batch.to_pylist())
    for _, of_document in groupby(clips, key=itemgetter("document")):
        yield list(of_document)


def _clip(row: dict[str, Any]) -> DocumentClip:
    return DocumentClip(**{name: value for name, value in row.items() if name not in ("document", "split")})


def _row(subset: str, form: Form, split: str, document: Document) -> dict[str, Any]:
    videos = list(dict.fromkeys(clip.video_id for clip in document.clips))
    row = {
        "document_id": "/".join([subset, form, *videos]),
        "subset": subset,
        "form": form,
        "video_id": videos[0],
        "other_video_id": videos[1] if len(videos) > 1 else None,
        "split": split,
        "texts": document.texts,
        "images": document.images,
        "clips": json.dumps(as_dicts(document.clips), ensure_ascii=False),
        "clip_count": len(document.clips),
        "dropped_videos": document.dropped,
    }
    return {name: row[name] for name in INTERLEAVED.content.names}


# --- files --------------------------------------------------------------------------------------------------------


def publish_documents(lake: Lake, interleaving: Interleaving, subset: str, snapshot: str) -> SubsetPublication:
    """Writes the subset's documents as files, in both forms, where they are not as the table has them."""
    rows = lake.query(
        statement("corpus/interleaved_summary"), tables=[INTERLEAVED.name], only={"subset": subset}
    ).to_pylist()
    made_of = {row["form"]: {name: value for name, value in row.items() if name != "form"} for row in rows}
    parameters = {
        "drop": interleaving.drop,
        "seed": interleaving.seed,
        "forms": {form: FORMS[form] for form in made_of},
    }
    kinds = [
        RecordKind(f"{form}-{name}", schema)
        for form in made_of
        for name, schema in (("lists", LISTS), ("stream", STREAM))
    ]
    return publish_subset(
        lake,
        FOLDER,
        subset,
        snapshot=snapshot,
        form=VERSION,
        parameters=parameters,
        made_of=made_of,
        kinds=kinds,
        records=_records(lake, subset),
    )


def _records(lake: Lake, subset: str) -> Iterator[PublishedRecord]:
    with lake.connect([INTERLEAVED.name], only={"subset": subset}, memory_limit=MEMORY_LIMIT) as connection:
        reader = connection.sql(statement("corpus/interleaved_to_publish")).to_arrow_reader(DOCUMENTS_PER_READ)
        for batch in reader:
            for row in batch.to_pylist():
                clips = json.loads(row["clips"])
                head = {
                    "id": row["document_id"],
                    "form": row["form"],
                    "split": row["split"],
                    "video_ids": [video for video in (row["video_id"], row["other_video_id"]) if video],
                }
                lists = {**head, "texts": row["texts"], "images": row["images"], "clips": clips}
                yield PublishedRecord(f"{row['form']}-lists", lists)
                text, videos = stream_of(row["texts"], clips)
                yield PublishedRecord(f"{row['form']}-stream", {**head, "text": text, "videos": videos})
