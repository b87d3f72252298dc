-- Finds rows of a subset's statement that cannot be used: without id, duplicate, or with an invalid weight.
-- Reads candidate.
select
    count(*) filter (where clip_id is null) as without_id,
    any_value(clip_id) filter (where copies > 1) as twice,
    any_value(clip_id) filter (where is_ill_weighted) as ill_weighted
from (
    select
        clip_id,
        count(*) as copies,
        bool_or(
            not list_contains(list_transform(conditions, lambda holds: holds is true), false)
            and not coalesce(weight > 0 and isfinite(weight), false)
        ) as is_ill_weighted
    from candidate
    group by clip_id
)
