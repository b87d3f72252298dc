-- The clips that are indexed. Those of one video have the same number.
select
    position,
    clip_id,
    caption,
    frame_count::integer as frame_count,
    short_side::integer as short_side,
    dense_rank() over (order by video_id) - 1 as video_number
from found
where lacks is null
