-- Videos whose present fingerprint has not been compared with all others by the comparison $version.
with expected as (
    select video_id, frames, md5(concat_ws('|', video_id, digest, $version)) as provenance
    from fingerprints
)

select
    expected.video_id,
    expected.frames,
    expected.provenance,
    comparisons.video_id is not null as was_compared
from expected
left join comparisons on expected.video_id = comparisons.video_id
where comparisons.provenance is distinct from expected.provenance
order by expected.video_id
