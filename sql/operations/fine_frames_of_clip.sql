-- A clip's frames of every second, in order of time; of a clip too short to have any its middle frame.
select frame_id
from frames
where clip_id = $clip_id and (is_fine or is_middle)
qualify is_fine or not max(is_fine) over ()
order by pts
