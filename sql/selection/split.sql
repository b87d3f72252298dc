-- The side of the split of each video of the pool: train, validation or test.
-- Reads judged, which holds each clip of the pool; $split_seed, $validation_share, $test_share.
-- A hash of its id places a video at u in [0, 1): test below $test_share, validation below the sum of both shares, else
-- train. So a video keeps its side whatever is added or chosen. Only a side that would be empty takes the next video in
-- the order of u: a single video is train, of two videos one is test, of three there is one on each side. Such a video
-- goes back as soon as another video falls on that side by itself; with more than 50 videos this is hardly ever needed.
with placed as (
    select
        video_id,
        ('0x' || left(md5(concat_ws('/', 'split', $split_seed, video_id)), 13))::bigint / (1::bigint << 52) as u,
        row_number() over (order by u, video_id) as place
    from (select distinct video_id from judged)
),

wanted as (
    select
        count(*) as videos,
        ($test_share + $validation_share < 1 - 1e-9)::bigint as train,
        ($validation_share > 0)::bigint as validation,
        ($test_share > 0)::bigint as test,
        count(*) filter (where u < $test_share) as below_test,
        count(*) filter (where u < $test_share + $validation_share) as below_both
    from placed
),

test as (
    select
        *,
        greatest(below_test, test) as asked,
        greatest(videos - train - validation, least(test, videos - train)) as at_most,
        least(asked, at_most) as tests
    from wanted
),

sides as (
    select *, least(greatest(below_both - tests, validation), videos - train - tests) as validations from test
)

select
    video_id,
    case when place <= tests then 'test' when place <= tests + validations then 'validation' else 'train' end as split
from placed, sides
