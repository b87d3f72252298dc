-- What clip_scores works on: every clip, for each score in `declared` (none until a checkpoint is active). The
-- similarity rests on the two vectors of the clip.
with vectors as (
    select
        clip_id,
        max(digest) filter (kind = 'video') as video,
        max(digest) filter (kind = 'caption') as caption
    from clip_embeddings
    group by clip_id
)
select
    clips.clip_id || '/' || declared.score as unit,
    clips.ingest_batch as partition,
    clips.clip_id as label,
    declared.score as variant,
    concat_ws(',', vectors.video, vectors.caption) as inputs,
    case
        when vectors.video is null then 'its frames have no vector'
        when vectors.caption is null then 'its caption has no vector'
    end as skip
from clips
cross join declared
left join vectors on clips.clip_id = vectors.clip_id
