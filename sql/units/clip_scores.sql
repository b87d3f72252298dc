-- What clip_scores works on: every clip, for each score in `parameters`. depends_on: the two vectors of the clip, its frames,
-- or its frames and its caption.
with vectors as (
    select
        clip_id,
        max(digest) filter (kind = 'video') as video,
        max(digest) filter (kind = 'caption') as caption
    from clip_embeddings
    group by clip_id
),

pictures as (
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
        when 'vectors' then concat_ws(',', vectors.video, vectors.caption)
        when 'frames' then pictures.frames
        else concat_ws(',', pictures.frames, clip_captions.digest)
    end as inputs,
    case
        when parameters.depends_on = 'vectors' and vectors.video is null then 'its frames have no vector'
        when parameters.depends_on = 'vectors' and vectors.caption is null then 'its caption has no vector'
        when parameters.depends_on <> 'vectors' and pictures.frames is null then 'it has no frame'
        when parameters.depends_on = 'frames and caption' and clip_captions.digest is null then 'it has no caption'
    end as skip
from clips
cross join parameters
left join vectors on clips.clip_id = vectors.clip_id
left join pictures on clips.clip_id = pictures.clip_id
left join clip_captions on clips.clip_id = clip_captions.clip_id
