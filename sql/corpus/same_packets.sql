-- Pairs of videos with equal encoded pictures, in any container, that are not in `duplicates` yet; the lower video_id
-- is first.
select left_video.video_id, right_video.video_id as other_video_id
from raw_videos as left_video
inner join raw_videos as right_video
    on left_video.packets_digest = right_video.packets_digest
    and left_video.video_id < right_video.video_id
left join duplicates
    on duplicates.pair_id = left_video.video_id || '/' || right_video.video_id
    and duplicates.kind = 'packets'
where duplicates.pair_id is null
order by left_video.video_id, right_video.video_id
