-- What frame_captions works on: each clip's middle frame (coarse) and its frames of every second (fine), and, where a
-- captioner for it is set, each clip as a whole. A frame that serves as both is captioned at both scales. Clips that came
-- with a caption need none of their frames'.
with captioned as (
    select annotation_id from annotations where caption is not null
),

to_caption as (
    select frame_id, clip_id, ingest_batch, digest, pts, is_middle, is_fine
    from frames
    where annotation_id is null or annotation_id not in (select annotation_id from captioned)
)

select
    frame_id || '/coarse' as unit,
    ingest_batch as partition,
    frame_id as label,
    'coarse' as variant,
    digest as inputs,
    null::varchar as skip
from to_caption
where is_middle
union all
select
    frame_id || '/fine' as unit,
    ingest_batch as partition,
    frame_id as label,
    'fine' as variant,
    digest as inputs,
    null::varchar as skip
from to_caption
where is_fine
union all
select
    clip_id || '/clip' as unit,
    any_value(ingest_batch) as partition,
    clip_id as label,
    'clip' as variant,
    string_agg(digest, ',' order by pts) filter (is_fine or is_middle) as inputs,
    null::varchar as skip
from to_caption
where 'clip' in (select variant from stage_versions)
group by clip_id
