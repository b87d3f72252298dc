-- The frames of the videos $video_ids without their pictures, video by video in order of time.
select video_id, frame_id, seconds
from frames
where video_id in (select unnest($video_ids)) and annotation_id is null
order by video_id, pts, frame_id
