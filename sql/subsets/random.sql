-- ---
-- title: Clips at random, each with the same chance
-- description: >
--   The paper's InternVid-10M, 50M and 200M are such draws from its 234 million clips. With the same seed, a smaller
--   draw is part of every larger one.
-- parameters:
--   clips: {type: bigint, default: null, meaning: "how many clips are drawn; null: all"}
--   seed: {type: bigint, default: 42, meaning: of the draw}
-- ---
select clip_id, 1 as weight, 'at random' as reason from pool
