-- What becomes of each clip of the pool, by a subset's statement
-- Reads pool; candidate (clip_id, weight, reason, conditions, measured: what the statement returned).
-- failed: which condition is the first that does not hold; 0: the statement did not return the clip; null: it stays.
-- is_unknown: that condition is null, because what it looks at is missing.
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
