-- A hash of each clip with its frames and its caption: a model that is trained on the clip depends on it.
with pictures as (
    select clip_id, string_agg(frame_id || '=' || digest, ',' order by frame_id) as digests
    from frames
    group by clip_id
)
select clips.clip_id, md5(concat_ws('|', clips.digest, pictures.digests, clip_captions.digest)) as content
from clips
inner join pictures using (clip_id)
inner join clip_captions on clips.clip_id = clip_captions.clip_id
