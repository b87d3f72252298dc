-- Clips at random, each with the same chance
-- The paper's InternVid-10M, 50M and 200M: such a draw from its 234 million clips. With one seed, a smaller draw is
-- part of every larger one.
-- @parameter clips bigint null: how many clips are drawn; null: all
-- @parameter seed bigint 42: of the draw
select clip_id, 1 as weight, 'at random' as reason from pool
