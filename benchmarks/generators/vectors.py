"""Makes vectors as CLIP models make them: clusters on a sphere, and a gap between those of pictures and of texts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from resources.lake.schema import VECTOR_SIZE

SIZE_EXPONENT = 0.8  # the nth largest cluster has n ** -0.8 times the members of the largest
MEMBER_NOISE = 0.8  # lengths of random vectors; a cluster's centre has length 1
CAPTION_NOISE = 0.5
GAP = 0.8  # length of the offset between pictures and texts, before vectors are scaled to length 1


@dataclass(frozen=True)
class VectorSpace:
    """Where vectors of clips and captions lie.

    centres: [clusters, VECTOR_SIZE]. shares: of the members, per cluster, summing to 1. offset: [VECTOR_SIZE], half the
    way from captions to clips. directions: [VECTOR_SIZE, VECTOR_SIZE] turns white noise into this space's noise, of
    expected length 1.
    """

    centres: np.ndarray
    shares: np.ndarray
    offset: np.ndarray
    directions: np.ndarray

    @classmethod
    def made(cls, clusters: int, *, decay: float, seed: int = 0) -> VectorSpace:
        """Returns a space with clusters of Zipf's sizes.

        decay: the nth strongest direction of the noise has n ** -decay times the length of the first. 0: the noise has
        no direction, and the members of a cluster are about equally far from each other, the hardest case for an index.
        """
        random = np.random.default_rng(seed)
        rotation, _ = np.linalg.qr(random.normal(size=(VECTOR_SIZE, VECTOR_SIZE)))
        strengths = np.arange(1, VECTOR_SIZE + 1) ** -decay
        directions = ((strengths / np.linalg.norm(strengths))[:, None] * rotation).astype(np.float32)
        sizes = np.arange(1, clusters + 1) ** -SIZE_EXPONENT
        offset = unit(random.normal(size=(1, VECTOR_SIZE)))[0] * np.float32(GAP / 2)
        centres = unit(random.standard_normal((clusters, VECTOR_SIZE), np.float32) @ directions)
        return cls(centres, sizes / sizes.sum(), offset, directions)

    def meanings(self, count: int, random: np.random.Generator) -> np.ndarray:
        """[count, VECTOR_SIZE]: what clips and their captions have in common."""
        clusters = random.choice(len(self.shares), count, p=self.shares)
        return self.centres[clusters] + MEMBER_NOISE * self.noise(count, random)

    def clips(self, meanings: np.ndarray) -> np.ndarray:
        return unit(meanings + self.offset)

    def captions(self, meanings: np.ndarray, random: np.random.Generator) -> np.ndarray:
        return unit(meanings + CAPTION_NOISE * self.noise(len(meanings), random) - self.offset)

    def noise(self, count: int, random: np.random.Generator) -> np.ndarray:
        return random.standard_normal((count, VECTOR_SIZE), np.float32) @ self.directions


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def column(vectors: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), VECTOR_SIZE)
