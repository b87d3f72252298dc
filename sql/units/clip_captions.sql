-- What clip_captions works on: every clip, resting on what was measured of it, on
-- the kinds of things seen in it, and on all captions of its frames; or, of an
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
        when annotations.caption is null
            then concat_ws(',', clips.digest, captions.inputs, clip_things.digest)
        else concat_ws(',', annotations.annotation_id || '=' || annotations.digest, clip_things.digest)
    end as inputs,
    case
        when annotations.caption is null and captions.inputs is null then 'none of its frames has a caption'
    end as skip
from clips
left join annotations on clips.annotation_id = annotations.annotation_id
left join captions on clips.clip_id = captions.clip_id
left join clip_things on clips.clip_id = clip_things.clip_id
