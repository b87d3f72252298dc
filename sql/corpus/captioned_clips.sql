-- Captioned clips with their sources, of $subset or of all if null, in order of batch, video and time: the rows of the
-- InternVid JSONL. A clip depends on the rows of one batch alone, so that a batch's file changes with that batch.
select
    clip_captions.ingest_batch,
    clips.video_id,
    raw_videos.source,
    clips.start_seconds,
    clips.end_seconds,
    clip_captions.caption
from clip_captions
inner join clips using (clip_id, ingest_batch)
inner join raw_videos on clips.video_id = raw_videos.video_id and clips.ingest_batch = raw_videos.ingest_batch
where $subset is null or clips.clip_id in (select clip_id from subsets where subset = $subset)
order by clip_captions.ingest_batch, clips.video_id, clips.start_seconds, clips.clip_id
