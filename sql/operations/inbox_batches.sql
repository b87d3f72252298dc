-- Batches in which the registrar $run_id found something since $since, each with a hash of its files as last seen.
select ingest_batch, md5(string_agg(concat_ws('+', provenance, subtitles_seen), ',' order by source_id)) as content
from sources
where ingest_batch in (select ingest_batch from sources where run_id = $run_id and written_at >= $since)
group by ingest_batch
order by ingest_batch
