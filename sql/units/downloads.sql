-- What downloads works on: every source on the web.
select
    source_id as unit,
    ingest_batch as partition,
    uri as label,
    '' as variant,
    provenance as inputs,
    null::varchar as skip
from sources
where kind = 'web'
