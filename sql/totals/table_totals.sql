-- ---
-- title: Rows of each table
-- ---
select 'sources' as table_name, count(*) as total_rows from sources
union all select 'raw_videos', count(*) from raw_videos
union all select 'clips', count(*) from clips
union all select 'frames', count(*) from frames
union all select 'frame_captions', count(*) from frame_captions
union all select 'clip_captions', count(*) from clip_captions
union all select 'clip_embeddings', count(*) from clip_embeddings
union all select 'caption_embeddings', count(*) from caption_embeddings
union all select 'clip_scores', count(*) from clip_scores
union all select 'attempts', count(*) from attempts
