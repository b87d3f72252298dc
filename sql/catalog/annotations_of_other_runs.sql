-- Annotations of $dataset that were last written by a run other than $run_id.
select annotation_id
from annotations
where dataset = $dataset and run_id is distinct from $run_id
