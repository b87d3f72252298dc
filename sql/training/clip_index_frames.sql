-- The frames of the chosen clips: the one pass over the frames table.
select position, seconds, short_side, frame_row
from places
inner join chosen using (clip_id)
