-- The captions of frames of the videos $video_ids that were sampled each second, in order of time.
select clip_id, seconds, scale, caption, evidence, model
from frame_captions
where video_id in (select unnest($video_ids)) and scale = 'fine'
order by clip_id, seconds
