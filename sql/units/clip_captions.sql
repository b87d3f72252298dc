-- What clip_captions works on: every clip, resting on what was measured of it and on all captions of its frames; or, of an
-- imported clip that came with a caption, on that.
with captions as (
    select clip_id, string_agg(frame_caption_id || '=' || digest, ',' order by frame_caption_id) as inputs
    from frame_captions
    group by clip_id
)

select
    clips.clip_id as unit,
    clips.ingest_batch as partition,
    clips.clip_id as label,
    case when annotations.caption is null then '' else 'imported' end as variant,
    case
        when annotations.caption is null then clips.digest || ',' || coalesce(captions.inputs, '')
        else annotations.annotation_id || '=' || annotations.digest
    end as inputs,
    case
        when annotations.caption is null and captions.inputs is null then 'none of its frames has a caption'
    end as skip
from clips
left join annotations on clips.annotation_id = annotations.annotation_id
left join captions on clips.clip_id = captions.clip_id
