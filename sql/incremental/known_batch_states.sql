-- The states of batches: those that were counted just now, and of the others what is kept.
-- Reads: fresh, stored (rows of batch_states).
select stage, partition, done, failed, skipped, waiting, pending, stale_rows, next_try_at
from fresh
where partition is not null
union all
select stage, partition, done, failed, skipped, waiting, pending, stale_rows, next_try_at
from stored
where partition is not null and batch_state_id not in (select batch_state_id from fresh)
