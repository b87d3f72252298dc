-- ---
-- title: The latest failures, with the original error text
-- ranked: {needed: 500, kept: 2000}
-- ---
select
    partition as ingest_batch,
    []::varchar[] as ranked_within,
    {'age': -epoch_us(written_at), 'stage': stage, 'key': key} as ranked_by,
    stage,
    label,
    key,
    error_class,
    message,
    tries,
    next_try_at,
    written_at,
    run_id
from attempts
where outcome = 'failed'
