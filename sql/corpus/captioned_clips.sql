-- Captioned clips with their sources, of $subset or of all if null, in order of video and time: the rows of the
-- InternVid JSONL.
select
    clips.video_id,
    raw_videos.source,
    clips.start_seconds,
    clips.end_seconds,
    clip_captions.caption
from clip_captions
inner join clips using (clip_id)
inner join raw_videos on clips.video_id = raw_videos.video_id
where $subset is null or clips.clip_id in (select clip_id from subsets where subset = $subset)
order by clips.video_id, clips.start_seconds
