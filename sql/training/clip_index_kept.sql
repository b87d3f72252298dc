-- The clips that are indexed. Clips of the same video have the same video_number.
select
    position,
    clip_id,
    weight,
    caption,
    frame_count::integer as frame_count,
    short_side::integer as short_side,
    dense_rank() over (order by video_id) - 1 as video_number
from described
where lacks is null
