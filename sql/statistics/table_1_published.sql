-- ---
-- title: Other video-text datasets, as the paper's Table 1 prints them
-- description: >
--   Constants, for comparison with table_1. Null where the paper prints a dash.
-- ---
select
    dataset,
    captions,
    domain,
    videos,
    clips,
    clip_seconds::double as clip_seconds,
    caption_words::double as caption_words,
    video_hours,
    resolution
from (
    values
        (1, 'MSR-VTT', 'manual', 'open', 7200, 10000, 15.0, 9.3, 40, '240p'),
        (2, 'DiDeMo', 'manual', 'Flickr', 10500, 27000, 6.9, 8.0, 87, null),
        (3, 'LSMDC', 'manual', 'movie', 200, 118000, 4.8, 7.0, 158, '1080p'),
        (4, 'YouCook2', 'manual', 'cooking', 2000, 14000, 19.6, 8.8, 176, null),
        (5, 'How2', 'manual', 'instruction', 13200, 80000, 90.0, 20.0, 2000, null),
        (6, 'ANet Caption', 'manual', 'action', 20000, 100000, 36.0, 13.5, 849, null),
        (7, 'VideoCC3M', 'transfer', 'open', 6300000, 10300000, 10, null, 17500, null),
        (8, 'WebVid10M', 'alt text', 'open', 10700000, 10700000, 18.0, 12.0, 52000, '360p'),
        (9, 'WTS70M', 'metadata', 'action', 70000000, 70000000, 10, null, 194000, null),
        (10, 'HowTo100M', 'speech', 'instruction', 1200000, 136000000, 3.6, 4.0, 134500, '240p'),
        (11, 'HD-VILA-100M', 'speech', 'open', 3300000, 103000000, 13.4, 32.5, 371500, '720p'),
        (12, 'YT-Temporal-180M', 'speech', 'open', 6000000, 180000000, null, null, null, null),
        (13, 'InternVid', 'generated', 'open', 7100000, 234000000, 11.7, 17.6, 760300, '720p (85 %)')
) as published (
    position, dataset, captions, domain, videos, clips, clip_seconds, caption_words, video_hours, resolution
)
order by position
