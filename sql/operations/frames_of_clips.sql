-- The frames of some clips, in order of time: their keys alone.
select clip_id, list(frame_id order by pts) as frame_ids
from frames
where clip_id in (select unnest($clip_ids))
group by clip_id
