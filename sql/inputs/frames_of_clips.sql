-- Keys of the frames of the clips $clip_ids, in order of time.
select clip_id, list(frame_id order by pts) as frame_ids
from frames
where clip_id in (select unnest($clip_ids))
group by clip_id
