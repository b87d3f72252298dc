-- All captions of the frames of some clips, in order of time.
select clip_id, seconds, scale, caption, evidence, model
from frame_captions
where clip_id in (select unnest($clip_ids))
order by clip_id, seconds, scale
