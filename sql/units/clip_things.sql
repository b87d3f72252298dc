-- What clip_things works on: a clip with the frames it has. `parameters` has a row where a classifier is set.
select
    clip_id as unit,
    any_value(ingest_batch) as partition,
    clip_id as label,
    '' as variant,
    string_agg(frame_id || '=' || digest, ',' order by frame_id) as inputs,
    null::varchar as skip
from frames
where exists (select 1 from parameters)
group by clip_id
