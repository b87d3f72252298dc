-- The one-per-second frames of $clip_id in order of time; the middle frame if the clip is too short to have any.
select frame_id
from frames
where clip_id = $clip_id and (is_fine or is_middle)
qualify is_fine or not max(is_fine) over ()
order by pts
