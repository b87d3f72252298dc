-- What clip_embeddings works on, for each kind in `parameters` (none until a checkpoint is active): a clip with the
-- frames it has, and a clip's caption.
with pictures as (
    select clip_id, any_value(ingest_batch) as ingest_batch, string_agg(frame_id || '=' || digest, ',' order by frame_id) as inputs
    from frames
    group by clip_id
)
select
    clip_id || '/video' as unit,
    ingest_batch as partition,
    clip_id as label,
    'video' as variant,
    inputs,
    null::varchar as skip
from pictures
where 'video' in (select kind from parameters)
union all
select
    clip_id || '/caption' as unit,
    ingest_batch as partition,
    clip_id as label,
    'caption' as variant,
    digest as inputs,
    null::varchar as skip
from clip_captions
where 'caption' in (select kind from parameters)
