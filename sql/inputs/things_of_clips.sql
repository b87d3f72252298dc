-- The kinds of things seen in the clips $clip_ids, most probable first.
select clip_id, kinds, probabilities, peaks
from clip_things
where clip_id in (select unnest($clip_ids))
