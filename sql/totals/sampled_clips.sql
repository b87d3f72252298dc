-- ---
-- title: Clips drawn at random, for the report
-- description: >
--   Drawn by a hash of the id, so that the same clips of a lake are drawn each time.
-- ranked: {needed: 100, kept: 400}
-- ---
select
    ingest_batch,
    []::varchar[] as ranked_within,
    {'hash': md5_number_lower(clip_id), 'clip_id': clip_id} as ranked_by,
    clip_id
from clips
