-- Ingest batches in which an input is to be tried again by the time $now, or which was tried by a clock that was set back
-- since, as in state.sql. Those that are due longest first, at most $batches of them. due: when the last of its inputs was, so that a run that was asked for is not asked for again.
select partition as ingest_batch, strftime(max(next_try_at), '%Y%m%dT%H%M%S.%f') as due
from attempts
where
    outcome in ('failed', 'waiting', 'improvable')
    and (next_try_at <= $now or (next_try_at is not null and written_at > $now + interval 1 hour))
    and regexp_full_match(partition, '\d{4}-\d{2}-\d{2}-\d+')
group by partition
order by min(next_try_at), partition
limit $batches
