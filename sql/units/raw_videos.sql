-- What raw_videos works on: every file among the sources, which is looked at again when its size or modification time
-- changes, and every download.
select
    source_id as unit,
    ingest_batch as partition,
    uri as label,
    '' as variant,
    provenance as inputs,
    null::varchar as skip
from sources
where kind = 'file'
union all
select
    source_id as unit,
    ingest_batch as partition,
    url as label,
    '' as variant,
    sha256 as inputs,
    null::varchar as skip
from downloads
