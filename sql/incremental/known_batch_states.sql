-- The states of batches: those that were counted just now, and of the others what is kept.
-- Reads: fresh, stored (rows of batch_states).
select * from fresh where partition is not null
union all
select stored.*
from stored
anti join fresh on stored.batch_state_id = fresh.batch_state_id
where stored.partition is not null
