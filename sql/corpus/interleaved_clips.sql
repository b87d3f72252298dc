-- The clips of the documents of the subset $subset, in order of document, video and time. Reads documents, the result of
-- interleaved_documents.sql.
select
    documents.document,
    documents.split,
    clips.clip_id,
    clips.video_id,
    raw_videos.source as uri,
    clips.start_seconds,
    clips.end_seconds,
    frames.frame_id,
    frames.seconds as frame_seconds,
    clip_captions.caption,
    coalesce(transcripts.english, transcripts.text) as speech
from documents
inner join subsets on documents.video_id = subsets.video_id and subsets.subset = $subset
inner join clips on subsets.clip_id = clips.clip_id
inner join clip_captions on subsets.clip_id = clip_captions.clip_id
inner join raw_videos on documents.video_id = raw_videos.video_id
left join frames on subsets.clip_id = frames.clip_id and frames.is_middle
left join transcripts on subsets.clip_id = transcripts.clip_id
order by documents.document, documents.place, clips.start_seconds, clips.clip_id
