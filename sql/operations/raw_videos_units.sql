-- What raw_videos works on: every source. A source is looked at again when its size or modification time changes.
select
    source_id as unit,
    ingest_batch as partition,
    uri as label,
    '' as variant,
    provenance as inputs,
    null::varchar as skip
from sources
