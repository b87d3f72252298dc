-- Every captioned clip, or those of a subset, with its source, in order of video and time: what the InternVid JSONL
-- holds.
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
