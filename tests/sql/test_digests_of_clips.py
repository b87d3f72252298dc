"""Hashes over the frames, or frame captions, of a clip: as they were when DuckDB wrote the numbers as text itself."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from resources.corpus.clip_contents import make_contents, view_contents
from resources.lake.statements import statement

CLIPS = 300


@pytest.fixture
def tables() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(
            f"""
            create table clips as select 'c' || i as clip_id, 'v' || i as video_id, 'b' as ingest_batch,
                null as annotation_id, 'd' || i as digest from range({CLIPS}) as numbers (i);
            create table clip_captions as select clip_id, 'e' || clip_id as digest from clips;
            create table transcripts as select clip_id, 'said' as digest from clips where clip_id <> 'c3';
            create table frames as select clip_id, clip_id || '_' || n as frame_id, clip_id || n as digest
                from clips, range(3) as numbers (n);
            create table frame_captions as select clip_id, frame_id || '/fine' as frame_caption_id, digest
                from frames where clip_id <> 'c2';
            create table parameters as select 'w' as writer;
            create table numbers as
                select 'number ' || i as clip_id, i::uhugeint as digests from range(40) as numbers (i)
                union all
                select 'high ' || i, 340282366920938463463374607431768211455::uhugeint - i::uhugeint
                from range(40) as numbers (i);
            """
        )
        yield connection


def test_the_content_of_a_clip(tables: duckdb.DuckDBPyConnection):
    expected = """
        select clip_id, md5(concat_ws('|', clips.digest, pictures.digests::varchar, clip_captions.digest)) as content
        from clips
        inner join clip_captions using (clip_id)
        inner join (
            select clip_id, bit_xor(md5_number(concat_ws('=', frame_id, digest))) as digests from frames group by all
        ) as pictures using (clip_id)
        order by clip_id
        """
    view_contents(tables)
    rows = tables.sql("from contents order by clip_id").fetchall()
    assert len(rows) == CLIPS
    assert rows == tables.sql(expected).fetchall()


def test_contents_made_in_parts_are_those_of_the_view_in_order(tables: duckdb.DuckDBPyConnection):
    tables.execute("set memory_limit = '64MB'")
    with tables.cursor() as of_views:
        view_contents(of_views)
        rows = of_views.sql("from contents order by clip_id").fetchall()
    make_contents(tables)
    assert len(rows) == CLIPS
    assert tables.sql("from contents").fetchall() == rows
    left = {name for (name,) in tables.sql("show tables").fetchall()}
    assert left.isdisjoint({"pictures", "captioned", "unordered"})


def test_the_inputs_of_a_dialogue_with_and_without_captions_of_frames_and_speech(tables: duckdb.DuckDBPyConnection):
    expected = """
        select clips.video_id, concat_ws('|', clips.digest, clip_captions.digest, of_frames.digests::varchar,
            coalesce(transcripts.digest, ''))
        from clips
        inner join clip_captions using (clip_id)
        left join (
            select clip_id, bit_xor(md5_number(concat_ws('=', frame_caption_id, digest))) as digests
            from frame_captions group by all
        ) as of_frames using (clip_id)
        left join transcripts using (clip_id)
        order by 1
        """
    rows = tables.sql(f"select unit, inputs from ({statement('units/dialogues')}) order by unit").fetchall()
    assert len(rows) == CLIPS
    assert rows == tables.sql(expected).fetchall()


@pytest.mark.parametrize("name", ["training/clip_pictures", "units/dialogues"])
def test_the_smallest_and_the_largest_numbers_are_the_text_that_duckdb_makes_of_them(
    tables: duckdb.DuckDBPyConnection, name: str
):
    (expression,) = (line.strip() for line in statement(name).splitlines() if "hugeint" in line)
    rows = tables.sql(f"select {expression}, digests::varchar from numbers").fetchall()
    assert len(rows) == 80
    assert [text for text, _ in rows] == [expected for _, expected in rows]
