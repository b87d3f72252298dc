-- A dataset's annotations that another run than this one wrote last.
select annotation_id
from annotations
where dataset = $dataset and run_id is distinct from $run_id
