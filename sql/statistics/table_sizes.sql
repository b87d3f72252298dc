-- ---
-- title: Rows of each table, and when it last changed
-- ---
with tables (position, table_name, row_count, last_written_at) as (
    select 1, 'sources', count(*), max(written_at) from sources
    union all select 2, 'raw_videos', count(*), max(written_at) from raw_videos
    union all select 3, 'clips', count(*), max(written_at) from clips
    union all select 4, 'frames', count(*), max(written_at) from frames
    union all select 5, 'frame_captions', count(*), max(written_at) from frame_captions
    union all select 6, 'clip_captions', count(*), max(written_at) from clip_captions
    union all select 7, 'clip_embeddings', count(*), max(written_at) from clip_embeddings
    union all select 8, 'caption_embeddings', count(*), max(written_at) from caption_embeddings
    union all select 9, 'clip_scores', count(*), max(written_at) from clip_scores
    union all select 10, 'attempts', count(*), max(written_at) from attempts
)
select table_name, row_count, last_written_at from tables order by position
