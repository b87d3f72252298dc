-- ---
-- title: Motion
-- description: Mean change of luma per second.
-- place: 2
-- ---
select numbered.number, 'motion' as measure, clips.motion as value
from numbered
inner join clips using (clip_id)
where clips.motion is not null
