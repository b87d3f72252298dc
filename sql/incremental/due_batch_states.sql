-- Partitions in which the time for another try has come, or may have, since the clock was set back after they were
-- counted (see state.sql). Reads: stored (rows of batch_states), $now.
select stage, partition
from stored
where next_try_at <= $now or (next_try_at is not null and written_at > $now + interval 1 hour)
