-- Each chosen clip with its rows at the snapshot. lacks: what is missing, null if the clip can be indexed.
select
    position,
    clip_id,
    video_id,
    weight,
    caption,
    frame_count,
    short_side,
    case
        when video_id is null then 'not in the snapshot'
        when coalesce(trim(caption), '') = '' then 'no caption'
        when frame_count is null then 'no frames'
    end as lacks
from chosen
left join (select clip_id, any_value(video_id) as video_id from clips group by clip_id) using (clip_id)
left join (select clip_id, any_value(caption) as caption from clip_captions group by clip_id) using (clip_id)
left join (
    select position, count(*) as frame_count, min(short_side) as short_side
    from chosen_frames
    group by position
) using (position)
