-- Batches in which sources on the web were registered, but by `internvid ingest`, which runs them itself; in order of when their
-- last one came, the first $batches after the batch $last of the time $since; each with a hash of its sources.
with found as (
    select ingest_batch, max(written_at) as found_at
    from sources
    where kind = 'web' and not starts_with(run_id, 'internvid ingest')
    group by ingest_batch
    having (max(written_at), ingest_batch) > ($since, $last)
    order by found_at, ingest_batch
    limit $batches
)

select found.ingest_batch, found.found_at, md5(string_agg(sources.source_id, ',' order by sources.source_id)) as content
from found
inner join sources using (ingest_batch)
group by found.ingest_batch, found.found_at
order by found.found_at, found.ingest_batch
