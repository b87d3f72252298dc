-- ---
-- title: Batch
-- description: The ingest batch.
-- place: 9
-- ---
select number, ingest_batch as value
from numbered
where ingest_batch is not null
