-- The frames of the indexed clips, clip after clip and in order of time.
select frame_row
from chosen_frames
semi join kept using (position)
order by position, seconds, frame_row
