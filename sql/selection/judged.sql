-- Result of a subset's statement for each clip of the pool.
-- Reads pool; candidate (clip_id, weight, reason, conditions, measured: the rows that the statement returned).
-- failed: number of the first condition that does not hold; 0: the statement did not return the clip; null: it stays.
-- is_unknown: that condition is null, because its input is missing.
select
    pool.clip_id,
    pool.video_id,
    candidate.weight,
    candidate.reason,
    candidate.measured,
    case
        when candidate.clip_id is null then 0
        else list_position(list_transform(conditions, lambda holds: holds is true), false)
    end as failed,
    conditions[failed] is null as is_unknown
from pool
left join candidate on pool.clip_id = candidate.clip_id
