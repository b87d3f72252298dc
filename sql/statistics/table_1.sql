-- ---
-- title: The paper's Table 1 row, over this lake
-- description: >
--   One row, beside what InternVid published (paper_*). The paper's 11.7 s a clip is exactly its hours of video divided
--   by its clips, so both definitions are here: mean_clip_seconds_as_in_paper (video hours / clips) and mean_clip_seconds
--   (measured on the clips). A video counts with what was decoded of it, never with what its header says; one of
--   which nothing is known is in videos_of_unknown_duration and adds no hours. 720p or more: the picture as shown fills a
--   1280x720 box in width or height, or its shorter side has 720 pixels, so upright and very wide videos count too.
--   Clips and captions are without imported spans, which overlap those made here.
-- ---
with of_videos as (
    select
        coalesce(sum(total_rows), 0)::bigint as videos,
        coalesce(sum(total_rows - total_of_known_duration), 0)::bigint as videos_of_unknown_duration,
        coalesce(sum(total_microseconds), 0) / 3.6e9 as video_hours,
        sum(total_rows) filter (where resolution in ('720p', '1080p', '1440p', '2160p or more'))
            / nullif(sum(total_rows) filter (where resolution is not null), 0) as share_720p_or_more
    from video_totals
),

of_clips as (
    select
        coalesce(sum(total_rows), 0)::bigint as clips,
        coalesce(sum(total_microseconds), 0) / 3.6e9 as clip_hours,
        sum(total_microseconds) / 1e6 / sum(total_rows) as mean_clip_seconds
    from clip_totals
    where not is_imported
),

of_captions as (
    select
        coalesce(sum(total_rows), 0)::bigint as captions,
        sum(total_rows * word_count) / sum(total_rows) filter (where word_count is not null) as mean_caption_words
    from caption_totals
    where not is_imported
)

select
    videos,
    clips,
    captions,
    video_hours * 3600 / nullif(clips, 0) as mean_clip_seconds_as_in_paper,
    mean_clip_seconds,
    mean_caption_words,
    video_hours,
    clip_hours,
    share_720p_or_more,
    videos_of_unknown_duration,
    7100000 as paper_videos,
    234000000 as paper_clips,
    11.7::double as paper_mean_clip_seconds,
    17.6::double as paper_mean_caption_words,
    760300.0::double as paper_video_hours,
    0.85::double as paper_share_720p
from of_videos, of_clips, of_captions
