-- DIV: from as many videos as possible
-- A clip's chance is one over the number of clips that its video has in the pool, so a long video is drawn from no more
-- than a short one until the short ones run out. The paper's InternVid-10M-DIV: 10,647,458 clips, seed 42.
-- @parameter clips bigint null: how many clips are drawn; null: all
-- @parameter seed bigint 42: of the draw
with counted as (
    select clip_id, count(*) over (partition by video_id) as clips_of_video from pool
)

select
    clip_id,
    1 / clips_of_video as weight,
    format('one of {} clips of its video', clips_of_video) as reason,
    clips_of_video
from counted
