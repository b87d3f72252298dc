-- ---
-- title: Captions of clips by number of words
-- ---
select
    imported.clip_id is not null as is_imported,
    clip_captions.word_count,
    count(*) as total_rows
from clip_captions
left join (select ingest_batch, clip_id from clips where annotation_id is not null) as imported
    using (ingest_batch, clip_id)
group by all
