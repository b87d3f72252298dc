-- ---
-- title: Clips that were cut here, by whole seconds of their duration
-- description: >
--   seconds: rounded down; of a clip of two minutes or more 120. Imported spans are left out.
-- ---
select least(floor(end_seconds - start_seconds), 120)::integer as seconds, count(*) as total_rows
from clips
where annotation_id is null and end_seconds >= start_seconds and end_seconds < 'infinity'::double
group by all
