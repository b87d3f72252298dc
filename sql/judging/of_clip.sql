-- The judgements about a clip, the latest first.
select what, verdict, model, other_model, judged_digest, judge, sample, written_at
from judgements
where clip_id = $clip_id
order by written_at desc, judgement_id
limit 100
