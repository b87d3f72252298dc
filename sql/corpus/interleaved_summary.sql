-- The documents of a subset by form: their number, and a hash that tells them from another state of them.
select
    form,
    count(*) as documents,
    sum(clip_count)::bigint as clips,
    sum(dropped_videos)::bigint as dropped_videos,
    any_value(version) as version,
    md5(bit_xor(md5_number(concat_ws('=', document_id, digest)))::varchar) as digest
from interleaved
group by form
order by form
