-- $frames frames of each clip of $clip_ids, spread over its duration, in order of time.
with numbered as (
    select
        clip_id,
        frame_id,
        seconds,
        row_number() over (partition by clip_id order by seconds) - 1 as number,
        count(*) over (partition by clip_id) as total
    from frames
    where clip_id in (select unnest($clip_ids))
)
select clip_id, list(frame_id order by seconds) as frame_ids
from numbered
where number * $frames // total <> (number - 1) * $frames // total or number = 0
group by clip_id
