-- The ingest batches, with the hours of video that are registered in them.
select ingest_batch, sum(estimated_seconds) / 3600 as hours
from sources
group by ingest_batch
