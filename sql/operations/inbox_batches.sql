-- Of some batches those that hold files of the inbox, each with a hash of its files as last seen.
select ingest_batch, md5(string_agg(provenance, ',' order by source_id)) as content
from sources
where ingest_batch in (select unnest($batches))
group by ingest_batch
having bool_or(run_id = $run_id)
order by ingest_batch
