-- ---
-- title: The paper's Table 1 row, over this lake
-- description: >
--   One row, beside what InternVid published (paper_*). The paper's 11.7 s a clip is exactly its hours of video divided
--   by its clips, so both definitions are here: mean_clip_seconds_as_in_paper (video hours / clips) and mean_clip_seconds
--   (measured on the clips). A video whose container states no duration counts with the end of its last clip; one
--   without clips either is in videos_of_unknown_duration and adds no hours. 720p or more: the picture as shown fills a
--   1280x720 box in width or height, or its shorter side has 720 pixels, so upright and very wide videos count too.
--   Clips and captions are without imported spans, which overlap those made here.
-- ---
with last_cut as (
    select video_id, max(end_seconds) as seconds from clips group by video_id
),
video as (
    select
        coalesce(raw_videos.duration_seconds, last_cut.seconds) as seconds,
        coalesce(raw_videos.display_width, raw_videos.width) as width,
        coalesce(raw_videos.display_height, raw_videos.height) as height
    from raw_videos left join last_cut using (video_id)
),
video_totals as (
    select
        count(*) as videos,
        count(*) filter (where seconds is null) as videos_of_unknown_duration,
        coalesce(sum(seconds), 0) / 3600 as video_hours,
        count(*) filter (where least(width, height) >= 720 or greatest(width, height) >= 1280)
            / nullif(count(*) filter (where width is not null and height is not null), 0) as share_720p_or_more
    from video
),
clip_totals as (
    select
        count(*) as clips,
        coalesce(sum(end_seconds - start_seconds), 0) / 3600 as clip_hours,
        avg(end_seconds - start_seconds) as mean_clip_seconds
    from clips
    where annotation_id is null
),
caption_totals as (
    select count(*) as captions, avg(word_count) as mean_caption_words
    from clip_captions
    where clip_id not in (select clip_id from clips where annotation_id is not null)
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
from video_totals, clip_totals, caption_totals
