-- Clips of a batch with vectors of frames and caption by the model $model, at most $clips, video by video in the order
-- of a hash. One clip of each distinct caption, since exchanging equal captions in the test changes nothing.
-- Reads the rows of the batch only.
with distinct_captions as (
    select clip_id, video_id
    from clip_captions
    qualify row_number() over (partition by caption order by clip_id) = 1
),

embedded as (
    select clip_id
    from clip_embeddings
    inner join caption_embeddings using (clip_id)
    where clip_embeddings.model = $model and caption_embeddings.model = $model
)

select distinct_captions.clip_id, distinct_captions.video_id
from distinct_captions
inner join embedded on distinct_captions.clip_id = embedded.clip_id
order by md5(distinct_captions.video_id), distinct_captions.clip_id
limit $clips
