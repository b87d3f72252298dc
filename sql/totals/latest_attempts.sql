-- ---
-- title: The latest inputs that a stage did not turn into rows, of each stage and reason
-- ranked: {needed: 1, kept: 50}
-- ---
select
    partition as ingest_batch,
    [stage, outcome, error_class] as ranked_within,
    {'age': -epoch_us(written_at), 'attempt_id': attempt_id} as ranked_by,
    stage,
    outcome,
    error_class,
    message,
    written_at
from attempts
