-- What clip_captions works on: every clip, resting on what was measured of it and on all captions of its frames.
with captions as (
    select clip_id, string_agg(frame_caption_id || '=' || digest, ',' order by frame_caption_id) as inputs
    from frame_captions
    group by clip_id
)
select
    clips.clip_id as unit,
    clips.ingest_batch as partition,
    clips.clip_id as label,
    '' as variant,
    clips.digest || ',' || coalesce(captions.inputs, '') as inputs,
    case when captions.inputs is null then 'none of its frames has a caption' end as skip
from clips
left join captions using (clip_id)
