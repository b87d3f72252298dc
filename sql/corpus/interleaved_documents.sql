-- The documents of the form $form that are made of the subset $subset, with the place of each video in its document.
-- a: one of each video. b: one of each video in which something is said. c: two videos of one side of the split, in an
-- order that $seed decides; of an odd number of videos, the last is in none.
with chosen as (
    select video_id, any_value(split) as split from subsets where subset = $subset group by video_id
),

ordered as (
    select
        video_id,
        split,
        row_number() over (
            partition by split order by md5(concat_ws('/', 'pair', $seed, video_id)), video_id
        ) - 1 as number,
        count(*) over (partition by split) as videos
    from chosen
)

select video_id, split, video_id as document, 0 as place
from chosen
where
    $form = 'a'
    or (
        $form = 'b' and video_id in (
            select transcripts.video_id
            from transcripts
            inner join subsets on transcripts.clip_id = subsets.clip_id
            where subsets.subset = $subset and coalesce(transcripts.english, transcripts.text) <> ''
        )
    )
union all
select video_id, split, format('{}/{:012d}', split, number // 2) as document, number % 2 as place
from ordered
where $form = 'c' and number < videos - videos % 2
