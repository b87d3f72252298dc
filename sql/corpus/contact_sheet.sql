-- $clips clips, evenly spread over the batch, with the middle frame's id and the caption if there is one.
with numbered as (
    select
        clips.clip_id,
        clips.video_id,
        clips.start_seconds,
        clips.end_seconds,
        clips.flags,
        row_number() over (order by clips.video_id, clips.clip_index) - 1 as number,
        count(*) over () as total
    from clips
)
select
    numbered.clip_id,
    numbered.start_seconds,
    numbered.end_seconds,
    numbered.flags,
    raw_videos.source,
    frames.frame_id,
    clip_captions.caption,
    clip_captions.model
from numbered
inner join raw_videos using (video_id)
inner join frames on numbered.clip_id = frames.clip_id and frames.is_middle
left join clip_captions on numbered.clip_id = clip_captions.clip_id
where numbered.number % greatest(1, numbered.total // $clips) = 0
order by numbered.number
limit $clips
