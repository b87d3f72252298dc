-- ---
-- title: "DIV: from as many videos as possible"
-- description: >
--   A clip's weight is one over the number of clips of its video in the pool, so all videos are drawn from equally,
--   long or short, until the short ones run out. The paper's InternVid-10M-DIV: 10,647,458 clips, seed 42.
-- parameters:
--   clips: {type: bigint, default: null, meaning: "how many clips are drawn; null: all"}
--   seed: {type: bigint, default: 42, meaning: of the draw}
-- ---
with counted as (
    select clip_id, count(*) over (partition by video_id) as clips_of_video from pool
)

select
    clip_id,
    1 / clips_of_video as weight,
    format('one of {} clips of its video', clips_of_video) as reason,
    clips_of_video
from counted
