-- What interleaved works on: each form of document of a subset that was made, resting on the subset's clips and on the
-- content of the tables that its documents are made from, at the snapshot that it was selected from.
with chosen as (
    select subset, bit_xor(md5_number(concat_ws('=', clip_id, split))) as content
    from subsets
    group by subset
),

contents as (
    select snapshot, string_agg(digest, ',' order by table_name) as digests
    from corpus_snapshot
    where table_name in ('clips', 'frames', 'clip_captions', 'transcripts', 'raw_videos')
    group by snapshot
)

select
    parameters.subset || '/' || parameters.form as unit,
    parameters.subset as partition,
    parameters.subset || ', form ' || parameters.form as label,
    parameters.form as variant,
    concat_ws('|', chosen.content, contents.digests) as inputs,
    case when chosen.content is null then 'its subset has no clip: materialise it first' end as skip
from parameters
left join chosen on parameters.subset = chosen.subset
left join subset_snapshots on parameters.subset = subset_snapshots.subset
left join contents on subset_snapshots.snapshot = contents.snapshot
