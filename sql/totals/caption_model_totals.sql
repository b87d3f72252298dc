-- ---
-- title: Captions by kind, model and version
-- description: >
--   kind: coarse and fine are captions of frames, clip is the summary that the dataset holds. total_videos: a video is
--   counted with the first of the versions that a model captioned it with, so it counts once for a kind and model.
-- ---
with caption as (
    select coalesce(scale, 'unknown') as kind, coalesce(model, 'unknown') as model, version, ingest_batch, video_id
    from frame_captions
    union all
    select 'clip' as kind, coalesce(model, 'unknown') as model, version, ingest_batch, video_id from clip_captions
),

-- A video's rows are in one batch: with the batch among the keys, the sum over batches is that over the lake.
of_videos as (
    select
        kind,
        model,
        version,
        count(*) as captions,
        video_id is not null
        and row_number() over (partition by kind, model, ingest_batch, video_id order by version) = 1 as is_first
    from caption
    group by kind, model, version, ingest_batch, video_id
)

select
    kind,
    model,
    version,
    sum(captions) as total_rows,
    count(*) filter (where is_first) as total_videos
from of_videos
group by all
