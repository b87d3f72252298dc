-- Clips of an export with all that is told of them, in order of batch, video and time.
-- Reads chosen (clip_id, split), of one split.
with scored as (
    select
        clip_id,
        map(list(score order by score), list(value order by score)) as scores,
        map(list(score order by score), list(model order by score)) as score_models
    from clip_scores
    where isfinite(value) and clip_id in (select clip_id from chosen)
    group by clip_id
),

-- What a person said last of a caption as it was then.
judged as (
    select clip_id, judged_digest, max_by(verdict, written_at) as verdict
    from judgements
    where what = 'caption' and clip_id in (select clip_id from chosen)
    group by clip_id, judged_digest
)

select
    chosen.split,
    clips.clip_id,
    clips.video_id,
    raw_videos.source,
    raw_videos.path,
    raw_videos.sha256 as video_sha256,
    downloads.title,
    downloads.channel,
    downloads.licence,
    clips.start_seconds,
    clips.end_seconds,
    clips.start_pts,
    clips.end_pts,
    clips.start_frame,
    clips.end_frame,
    raw_videos.display_width as video_width,
    raw_videos.display_height as video_height,
    raw_videos.fps as video_fps,
    clips.motion,
    clips.flags,
    clips.annotation_id is not null as is_imported,
    clip_captions.caption,
    clip_captions.model as caption_model,
    clip_captions.version as caption_version,
    clip_captions.status as caption_status,
    clip_captions.word_count,
    judged.verdict as caption_verdict,
    transcripts.text as transcript,
    transcripts.language as transcript_language,
    transcripts.source as transcript_source,
    transcripts.model as transcript_model,
    scored.scores,
    scored.score_models
from chosen
inner join clip_captions using (clip_id)
inner join clips on clip_captions.clip_id = clips.clip_id and clip_captions.ingest_batch = clips.ingest_batch
inner join raw_videos on clips.video_id = raw_videos.video_id and clips.ingest_batch = raw_videos.ingest_batch
left join downloads on raw_videos.source_id = downloads.source_id
left join transcripts on clips.clip_id = transcripts.clip_id
left join scored on clips.clip_id = scored.clip_id
left join judged on clips.clip_id = judged.clip_id and clip_captions.digest = judged.judged_digest
order by
    clips.ingest_batch,
    clips.video_id,
    clips.start_seconds,
    clips.clip_id
