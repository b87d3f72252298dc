-- ---
-- title: Video durations in the paper's buckets (Figure 3b)
-- description: >
--   A bucket holds its lower bound and not its upper one. A video whose container states no duration counts with the
--   end of its last clip; without clips it is in no bucket (table_1.videos_of_unknown_duration counts those).
--   paper_share: the paper states three shares; which bucket has which of the other two is not known.
-- ---
with bucket (position, bucket, from_seconds, to_seconds, paper_share) as (
    values
        (1, '<5 min', 0, 300, 0.49),
        (2, '5–10 min', 300, 600, 0.26),
        (3, '10–15 min', 600, 900, null),
        (4, '15–20 min', 900, 1200, null),
        (5, '>20 min', 1200, 'infinity'::double, 0.08)
),
last_cut as (
    select video_id, max(end_seconds) as seconds from clips group by video_id
),
video as (
    select video_id, coalesce(raw_videos.duration_seconds, last_cut.seconds) as seconds
    from raw_videos left join last_cut using (video_id)
)
select
    position,
    bucket,
    count(video_id) as videos,
    count(video_id) / nullif(sum(count(video_id)) over (), 0) as share,
    coalesce(sum(seconds), 0) / 3600 as hours,
    any_value(paper_share)::double as paper_share
from bucket left join video on video.seconds >= from_seconds and video.seconds < to_seconds
group by position, bucket
order by position
