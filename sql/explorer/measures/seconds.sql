-- ---
-- title: Duration, s
-- description: Of the clip.
-- place: 1
-- ---
select numbered.number, 'seconds' as measure, clips.end_seconds - clips.start_seconds as value
from numbered
inner join clips using (clip_id)
