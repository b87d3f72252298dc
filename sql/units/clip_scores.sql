-- What clip_scores works on: every clip, for each score in `parameters`. depends_on: the two vectors of the clip, its frames,
-- or its frames and its caption.
with pictures as (
    select clip_id, string_agg(digest, ',' order by pts) as frames
    from frames
    group by clip_id
)

select
    clips.clip_id || '/' || parameters.score as unit,
    clips.ingest_batch as partition,
    clips.clip_id as label,
    parameters.score as variant,
    case parameters.depends_on
        when 'vectors' then concat_ws(',', clip_embeddings.digest, caption_embeddings.digest)
        when 'frames' then pictures.frames
        else concat_ws(',', pictures.frames, clip_captions.digest)
    end as inputs,
    case
        when parameters.depends_on = 'vectors' and clip_embeddings.digest is null then 'its frames have no vector'
        when parameters.depends_on = 'vectors' and caption_embeddings.digest is null then 'its caption has no vector'
        when parameters.depends_on <> 'vectors' and pictures.frames is null then 'it has no frame'
        when parameters.depends_on = 'frames and caption' and clip_captions.digest is null then 'it has no caption'
    end as skip
from clips
cross join parameters
left join clip_embeddings on clips.clip_id = clip_embeddings.clip_id
left join caption_embeddings on clips.clip_id = caption_embeddings.clip_id
left join pictures on clips.clip_id = pictures.clip_id
left join clip_captions on clips.clip_id = clip_captions.clip_id
