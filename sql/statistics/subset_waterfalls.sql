-- ---
-- title: What each condition of a subset removed
-- description: >
--   As the subsets were last selected, each from its own snapshot. A row is a condition, in order; the first, clips,
--   removes none. share: of the clips of the lake that are left after it.
-- ---
with listed as (
    select subset, snapshot, from_json(waterfall, '[{"condition": "VARCHAR", "meaning": "VARCHAR", "removed": "BIGINT", "left": "BIGINT"}]') as conditions
    from subset_snapshots
),

of_subsets as (
    select subset, snapshot, unnest(conditions) as condition, generate_subscripts(conditions, 1) as position
    from listed
)

select
    subset,
    snapshot,
    position,
    condition.condition as condition,
    condition.meaning as meaning,
    condition.removed as removed,
    condition.left as clips_left,
    condition.left / nullif(first_value(condition.left) over (partition by subset order by position), 0) as share
from of_subsets
order by subset, position
