-- What frame_captions works on: each clip's middle frame (coarse) and its frames of every second (fine).
-- A frame that serves as both is captioned at both scales, for the two may have different models.
select
    frame_id || '/coarse' as unit,
    ingest_batch as partition,
    frame_id as label,
    'coarse' as variant,
    digest as inputs,
    null::varchar as skip
from frames
where is_middle
union all
select
    frame_id || '/fine' as unit,
    ingest_batch as partition,
    frame_id as label,
    'fine' as variant,
    digest as inputs,
    null::varchar as skip
from frames
where is_fine
