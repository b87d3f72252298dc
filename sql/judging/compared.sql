-- The clips with two different captions. Reads captions_a, captions_b: clip_captions at two snapshots.
-- $subset: a subset that they are of; null: all.
select a.clip_id, a.video_id, concat_ws(' / ', a.model, b.model) as model
from captions_a as a
inner join captions_b as b on a.clip_id = b.clip_id
where a.caption <> '' and b.caption <> '' and a.caption <> b.caption
    and ($subset is null or a.clip_id in (select clip_id from subsets where subset = $subset))
