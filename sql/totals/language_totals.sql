-- ---
-- title: Videos by the language that is spoken in most of their clips
-- description: >
--   language: as in transcripts; "unknown" where something is said in no language that is known, null where nothing is
--   said. Of languages with as many clips of a video, the first by its code.
-- ---
with spoken as (
    select ingest_batch, video_id, coalesce(language, 'unknown') as language, count(*) as clips
    from transcripts
    where text <> ''
    group by all
),

of_videos as (
    select ingest_batch, video_id, arg_min(language, {'clips': -clips, 'language': language}) as language
    from spoken
    group by ingest_batch, video_id
)

select of_videos.language, count(*) as total_rows
from raw_videos
left join of_videos using (ingest_batch, video_id)
group by all
