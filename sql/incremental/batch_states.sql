-- Where the units of the stage $stage stand, by partition; what would be counted otherwise later, and when.
-- Reads: state (the rows of state.sql), stale (those of stale.sql), attempts; and $now.
with units as (
    select
        partition,
        count(*) filter (state = 'done') as done,
        count(*) filter (state = 'failed') as failed,
        count(*) filter (state = 'skipped') as skipped,
        count(*) filter (state = 'waiting') as waiting,
        count(*) filter (state = 'pending') as pending
    from state
    group by partition
),

to_remove as (
    select partition, count(*) as stale_rows from stale group by partition
),

later as (
    select
        partition,
        min(next_try_at) filter (outcome in ('failed', 'waiting', 'improvable') and next_try_at > $now) as next_try_at,
        list(distinct left(md5(related_key), 16)) filter (outcome = 'skipped' and related_key is not null)
            as related_keys
    from attempts
    where stage = $stage
    group by partition
)

select
    partition,
    coalesce(done, 0) as done,
    coalesce(failed, 0) as failed,
    coalesce(skipped, 0) as skipped,
    coalesce(waiting, 0) as waiting,
    coalesce(pending, 0) as pending,
    coalesce(stale_rows, 0) as stale_rows,
    next_try_at,
    related_keys
from units
full join to_remove using (partition)
left join later using (partition)
