-- Of rows that are there twice for a moment, as two processes have just written them, the older.
-- Reads: stored (rows of batch_states).
select *
from stored
qualify row_number() over (partition by batch_state_id order by written_at) = 1
