-- Batches in which sources were registered, but by `internvid ingest`, which runs them itself; in the order in which
-- their newest source came, the first $batches after the batch $last of the time $since; each with a hash of its
-- sources.
with registered as (
    select ingest_batch, max(written_at) as registered_at
    from sources
    where not starts_with(run_id, 'internvid ingest')
    group by ingest_batch
    having (max(written_at), ingest_batch) > ($since, $last)
    order by registered_at, ingest_batch
    limit $batches
)

select
    registered.ingest_batch,
    registered.registered_at,
    md5(
        string_agg(concat_ws('+', sources.source_id, provenance, subtitles_seen), ',' order by sources.source_id)
    ) as content
from registered
inner join sources using (ingest_batch)
group by registered.ingest_batch, registered.registered_at
order by registered.registered_at, registered.ingest_batch
