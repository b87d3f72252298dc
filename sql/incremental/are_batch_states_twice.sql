-- Whether rows are there twice for a moment, as two processes have just written them.
-- Reads: stored (rows of batch_states).
select count(*) > count(distinct batch_state_id)
from stored
