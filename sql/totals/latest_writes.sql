-- ---
-- title: The batches of each table that were written last
-- ranked: {needed: 1, kept: 200}
-- ---
with written (table_name, ingest_batch, written_at) as (
    select 'sources', ingest_batch, written_at from sources
    union all select 'raw_videos', ingest_batch, written_at from raw_videos
    union all select 'clips', ingest_batch, written_at from clips
    union all select 'frames', ingest_batch, written_at from frames
    union all select 'frame_captions', ingest_batch, written_at from frame_captions
    union all select 'clip_captions', ingest_batch, written_at from clip_captions
    union all select 'clip_embeddings', ingest_batch, written_at from clip_embeddings
    union all select 'caption_embeddings', ingest_batch, written_at from caption_embeddings
    union all select 'clip_scores', ingest_batch, written_at from clip_scores
    union all select 'attempts', partition, written_at from attempts
)

select
    ingest_batch,
    [table_name] as ranked_within,
    {'age': -epoch_us(max(written_at)), 'ingest_batch': ingest_batch} as ranked_by,
    table_name,
    max(written_at) as last_written_at
from written
group by table_name, ingest_batch
