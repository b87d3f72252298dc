-- All frame captions of the clips $clip_ids, in order of time.
select clip_id, seconds, scale, caption, evidence, model
from frame_captions
where clip_id in (select unnest($clip_ids))
order by clip_id, seconds, scale
