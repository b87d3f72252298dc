"""Makes a lake of as many videos as asked for, with rows that no model computed.

    python benchmarks/generators/made_lake.py LAKE --videos 20000 [--videos-per-batch 100] [--clips 20] [--frames 5]

Units, their provenances and the writes are the product's own (the state of the configured stages, `Lake.upsert`). Only
what a stage makes of a unit is replaced: a video has 20 clips, a clip 5 frames with pictures of 50 bytes, or as many as
asked for. The fingerprints are of random pictures, one for each clip, and one video in a hundred is a copy. Nothing is
spoken, and no model is active, so there are no vectors. A large lake is made by SQL, many batches at once; `run_stages`
makes the same rows of one batch as a run of the product does. Made again on the same lake, it adds what is missing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from orchestration.cli.session import Session
from orchestration.settings import Settings
from resources.incremental.declaration import configured_stages
from resources.incremental.provenance import digest
from resources.incremental.runner import process_pending
from resources.incremental.stage import Done, Outcome, Rows, Skipped, Stage, Unit
from resources.incremental.state import unit_states
from resources.lake.schema import TABLES, Table
from resources.lake.store import Lake

FRAMES_PER_WRITE, MAX_VIDEOS_PER_WRITE = 100_000, 20_000
SECONDS_PER_CLIP = 10
SUBJECTS = ("a dog", "two people", "a red car", "a street at night", "a kitchen", "waves", "a mountain", "a crowd")
ACTIONS = ("runs", "stands", "turns left", "is filmed from above", "moves slowly", "fills the picture")


@dataclass(frozen=True)
class Shape:
    """How much a video has: clips, and frames of each clip."""

    clips: int = 20
    frames: int = 5


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("lake", type=Path)
    arguments.add_argument("--videos", type=int, required=True)
    arguments.add_argument("--videos-per-batch", type=int, default=100)
    arguments.add_argument("--clips", type=int, default=Shape.clips, help="of each video")
    arguments.add_argument("--frames", type=int, default=Shape.frames, help="of each clip")
    given = arguments.parse_args()
    started = time.monotonic()
    shape = Shape(given.clips, given.frames)
    make(Session(Settings(lake=str(given.lake))), given.videos, given.videos_per_batch, shape)
    print(f"{given.videos:,} videos in {time.monotonic() - started:,.0f} s")


def make(session: Session, videos: int, videos_per_batch: int = 100, shape: Shape = Shape()) -> None:
    """Registers the videos, makes every stage's rows, and keeps the tables as the nightly maintenance does."""
    stages = configured_stages(session.lake, session.stages, session.resources)
    starts = range(0, videos, videos_per_batch)
    videos_per_write = min(MAX_VIDEOS_PER_WRITE, FRAMES_PER_WRITE // (shape.clips * shape.frames))
    batches_per_write = max(1, videos_per_write // videos_per_batch)
    for number in range(0, len(starts), batches_per_write):
        group = [
            (f"2026-01-01-{number + offset + 1:06d}", range(first, min(videos, first + videos_per_batch)))
            for offset, first in enumerate(starts[number : number + batches_per_write])
        ]
        session.lake.upsert("sources", pa.concat_tables(_sources(batch, numbers, shape) for batch, numbers in group))
        for stage in stages:
            _write_rows(session.lake, stage, (group[0][0], group[-1][0]), shape)
        if number // batches_per_write % 20 == 19:
            session.lake.optimize()
    session.lake.optimize()


def _write_rows(lake: Lake, stage: Stage, batches: tuple[str, str], shape: Shape) -> None:
    made = made_by_sql(shape)
    with unit_states(lake, stage, batches) as connection:
        for index, output in enumerate(stage.outputs if _makes_rows(stage) else ()):
            rows = connection.sql(
                f"""
                with units as (
                    select unit, label, partition as ingest_batch, provenances[{index + 1}] as provenance
                    from state
                    where state = 'pending' and skip is null
                )
                select rows.* exclude (unit, label), md5({output.table.key}) as digest, 'made' as version,
                    'made' as run_id, now() as written_at
                from ({made[output.table.name]}) as rows
                """
            )
            lake.upsert(output.table.name, rows.to_arrow_table())
        skipped = connection.sql(
            f"""
            select concat_ws('/', $stage, unit) as attempt_id, $stage as stage, unit as key, label,
                'skipped' as outcome, 'NothingToDo' as error_class, coalesce(skip, 'made without it') as message,
                0 as tries, partition, provenances[-1] as provenance, 'made' as run_id, now() as written_at
            from state
            where state = 'pending' and (skip is not null or not {_makes_rows(stage)})
            """,
            params={"stage": stage.name},
        )
        lake.upsert("attempts", skipped.to_arrow_table())


def register(lake: Lake, batch: str, numbers: range) -> None:
    """Registers videos as `internvid ingest` does files, without the files."""
    lake.upsert("sources", _sources(batch, numbers, Shape()))


def _sources(batch: str, numbers: range, shape: Shape) -> pa.Table:
    rows = [
        {
            "source_id": digest(uri := f"file:///made/{number:09d}.mp4")[:16],
            "uri": uri,
            "kind": "file",
            "estimated_seconds": float(shape.clips * SECONDS_PER_CLIP),
            "first_seen_at": datetime.now(UTC),
            "written_at": datetime.now(UTC),
            "ingest_batch": batch,
            "provenance": digest("made", number),
            "run_id": "made",
        }
        for number in numbers
    ]
    return pa.Table.from_pylist(rows, schema=TABLES["sources"].arrow)


def run_stages(lake: Lake, stages: list[Stage], batch: str) -> None:
    """Runs the stages on one batch, as `internvid ingest` does."""
    for stage in stages:
        larger = replace(stage, chunk_size=100_000)
        process_pending(lake, larger, partial(_computed, stage), partition=batch, run_id="made")


def _computed(stage: Stage, units: list[Unit]) -> Iterator[Outcome]:
    if not _makes_rows(stage):
        yield from (Skipped(unit, "NothingThere", "made without it") for unit in units)
        return
    named = pa.table(
        {
            "unit": [unit.key for unit in units],
            "label": [unit.label for unit in units],
            "position": range(len(units)),
        }
    )
    made = made_by_sql(Shape())
    with duckdb.connect() as connection:
        connection.register("units", named)
        tables = [
            _content(connection.sql(f"from ({made[table.name]}) order by position, {table.key}"), table)
            for table in (output.table for output in stage.outputs)
        ]
    counts = [table.num_rows // len(units) for table in tables]
    for number, unit in enumerate(units):
        yield Done(
            unit,
            tuple(
                Rows(count, table.slice(number * count, count).to_batches())
                for table, count in zip(tables, counts, strict=True)
            ),
        )


def _content(rows: duckdb.DuckDBPyRelation, table: Table) -> pa.Table:
    """Returns the columns that a stage computes; null where nothing is made."""
    made = rows.to_arrow_table().combine_chunks()
    return pa.table(
        [
            made[field.name].cast(field.type) if field.name in made.column_names else pa.nulls(len(made), field.type)
            for field in table.content
        ],
        schema=table.content,
    )


def _makes_rows(stage: Stage) -> bool:
    return stage.outputs[0].table.name in made_by_sql(Shape())


_SEEN = f"list_extract({list(SUBJECTS)!r}, (1 + hash(unit) % {len(SUBJECTS)})::bigint)"
_DONE = f"list_extract({list(ACTIONS)!r}, (1 + hash(unit) // 8 % {len(ACTIONS)})::bigint)"
_SENTENCE = f"concat_ws(' ', {_SEEN}, {_DONE})"
_CLIP = "concat_ws('_', unit, lpad(clip.number::varchar, 3, '0'))"
# Each clip shows one picture. Every hundredth video shows what the fiftieth before it does.
_NUMBER = "regexp_extract(units.label, '([0-9]+)\\.mp4', 1)::bigint"
_SHOWN = f"if({_NUMBER} % 100 = 0, {_NUMBER} - 50, {_NUMBER})"
_HASHES = ", ".join(f"md5(concat_ws('/', {_SHOWN}, clip.number, {part}))" for part in range(6))  # 96 bytes


def made_by_sql(shape: Shape) -> dict[str, str]:
    """Returns what a stage makes of its units (unit, label), by table."""
    clips = f"units cross join (select unnest(range({shape.clips})) as number) as clip"
    frames = f"{clips} cross join (select unnest(range({shape.frames})) as number) as frame"
    times = np.arange(0, shape.clips * SECONDS_PER_CLIP, SECONDS_PER_CLIP / shape.frames, "<f4").tobytes().hex()
    return {
        "raw_videos": f"""
            select left(unit, 16) as video_id, unit as source_id, label as source, label as path,
                repeat(unit, 4) as sha256, 'mp4' as container, 'h264' as video_codec, 1280 as width, 720 as height,
                1280 as display_width, 720 as display_height, 25.0 as fps,
                {float(shape.clips * SECONDS_PER_CLIP)} as duration_seconds, 20_000_000 as size_bytes,
                1 as unit_rows, units.*
            from units""",
        "clips": f"""
            select {_CLIP} as clip_id, unit as video_id, clip.number as clip_index,
                clip.number * {SECONDS_PER_CLIP}.0 as start_seconds,
                (clip.number + 1) * {SECONDS_PER_CLIP}.0 as end_seconds,
                if(clip.number = 0, 'start', 'cut') as boundary, []::varchar[] as flags,
                (hash({_CLIP}) % 1000 / 1000.0)::float as motion, {shape.clips} as unit_rows, units.*
            from {clips}""",
        "frames": f"""
            select concat_ws('_', {_CLIP}, frame.number) as frame_id, {_CLIP} as clip_id, unit as video_id,
                clip.number * {SECONDS_PER_CLIP}.0 + 2 * frame.number as seconds, frame.number as pts,
                frame.number = {shape.frames // 2} as is_middle, frame.number % 2 = 0 as is_fine,
                left(repeat(md5(concat_ws('_', {_CLIP}, frame.number)), 2), 50)::blob as jpeg,
                {shape.clips * shape.frames} as unit_rows, units.*
            from {frames}""",
        "fingerprints": f"""
            select unit as video_id, {shape.clips * shape.frames} as frames, unhex('{times}') as seconds,
                unhex(pictures.hashes) as hashes, 1 as unit_rows, units.*
            from units
            cross join lateral (
                select string_agg(repeat(concat({_HASHES}), {shape.frames}), '' order by clip.number) as hashes
                from (select unnest(range({shape.clips})) as number) as clip
            ) as pictures""",
        "frame_captions": f"""
            select unit as frame_caption_id, regexp_replace(unit, '_[0-9]+/[a-z]+$', '') as clip_id,
                split_part(unit, '_', 1) as video_id, split_part(unit, '/', 2) as scale,
                split_part(unit, '/', 1) as frame_id,
                {_SENTENCE} as caption, 'made' as model, 'success' as status,
                1 as unit_rows, units.*
            from units""",
        "clip_captions": f"""
            select unit as clip_id, split_part(unit, '_', 1) as video_id, {_SENTENCE} as caption, 'made' as model,
                'success' as status, 6 as word_count, 1 as unit_rows, units.*
            from units""",
        "clip_scores": """
            select unit as score_id, split_part(unit, '/', 1) as clip_id, split_part(unit, '_', 1) as video_id,
                split_part(unit, '/', 2) as score, 'made' as model, (hash(unit) % 65_536) / 65_536 as value,
                1 as unit_rows, units.*
            from units""",
    }


if __name__ == "__main__":
    main()
