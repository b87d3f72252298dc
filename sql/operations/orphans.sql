-- Rows whose parent is gone, and clips without a frame.
select
    (select count(*) from clips where video_id not in (select video_id from raw_videos)) as clips_without_video,
    (select count(*) from frames where clip_id not in (select clip_id from clips)) as frames_without_clip,
    (select count(*) from clips where clip_id not in (select clip_id from frames)) as clips_without_frame,
    (select count(*) from speech where video_id not in (select video_id from raw_videos)) as speech_without_video,
    (select count(*) from transcripts where clip_id not in (select clip_id from clips)) as transcripts_without_clip,
    (select count(*) from frame_captions where frame_id not in (select frame_id from frames)) as captions_without_frame,
    (select count(*) from clip_captions where clip_id not in (select clip_id from clips)) as captions_without_clip,
    (select count(*) from clip_embeddings where clip_id not in (select clip_id from clips)) as embeddings_without_clip,
    (select count(*) from clip_scores where clip_id not in (select clip_id from clips)) as scores_without_clip
