-- ---
-- title: Flags
-- description: What was measured of the clip that a subset may exclude; "none" for a clip without a flag.
-- place: 6
-- ---
select numbered.number, unnest(if(coalesce(len(clips.flags), 0) = 0, ['none'], clips.flags)) as value
from numbered
inner join clips using (clip_id)
