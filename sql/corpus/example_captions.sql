-- The $captions longest captions, at most one a video.
select raw_videos.source, clips.start_seconds, clips.end_seconds, clip_captions.caption
from clip_captions
inner join clips using (clip_id)
inner join raw_videos on clips.video_id = raw_videos.video_id
qualify row_number() over (partition by clips.video_id order by clip_captions.word_count desc, clips.clip_id) = 1
order by clip_captions.word_count desc, clips.clip_id
limit $captions
