-- ---
-- title: Videos of which less was decoded than their header says
-- description: >
--   share: of what the header says, or of what the packets of the file hold where it says less.
-- ranked: {needed: 100, kept: 1000}
-- ---
with cut as (
    select
        ingest_batch,
        video_id,
        max(end_seconds) as decoded_seconds,
        max(decode_errors) as decode_errors
    from clips
    where annotation_id is null
    group by ingest_batch, video_id
    having bool_or(list_contains(flags, 'short_of_header'))
)

select
    ingest_batch,
    []::varchar[] as ranked_within,
    {'missing': -(greatest(declared_seconds, duration_seconds) - decoded_seconds), 'video_id': video_id} as ranked_by,
    video_id,
    source,
    declared_seconds,
    duration_seconds,
    decoded_seconds,
    decoded_seconds / greatest(declared_seconds, duration_seconds) as share,
    decode_errors
from raw_videos
inner join cut using (ingest_batch, video_id)
