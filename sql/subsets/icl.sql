-- ---
-- title: "ICL: whole videos, for interleaved documents"
-- description: >
--   Every captioned clip of the videos that have enough of them. The paper's InternVid-ICL has one document for each of
--   its 7.1 million videos; its rule beyond that is not published. `internvid subset write icl` writes the documents.
-- parameters:
--   min_clips: {type: bigint, default: 2, min: 1, meaning: captioned clips that a video must have}
-- conditions:
--   enough_clips: its video has at least $min_clips captioned clips
-- ---
with counted as (
    select clip_id, count(*) over (partition by video_id) as clips_of_video from pool
)

select
    clip_id,
    clips_of_video >= $min_clips as enough_clips,
    1 as weight,
    format('one of {} captioned clips of its video', clips_of_video) as reason,
    clips_of_video
from counted
