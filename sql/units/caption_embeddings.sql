-- What caption_embeddings works on: a clip's caption. `parameters` has a row once a checkpoint is active.
select
    clip_id as unit,
    ingest_batch as partition,
    clip_id as label,
    '' as variant,
    digest as inputs,
    null::varchar as skip
from clip_captions
where exists (select 1 from parameters)
