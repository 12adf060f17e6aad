"""SemDeDup's rule against all pairs at once, and its independence of blocks."""

from __future__ import annotations

import numpy as np
import pytest

from udfs.deduplication import EarlierMembers, is_duplicate, near_duplicates, usable

WIDTH = 48


def drawn(count, *, seed=0, noise=0.12, directions=40):
    """Unit vectors around some directions: many pairs near any threshold."""
    draw = np.random.default_rng(seed)
    vectors = draw.standard_normal((directions, WIDTH))[draw.integers(directions, size=count)]
    vectors += noise * draw.standard_normal((count, WIDTH))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def all_pairs(vectors, epsilon):
    """SemDeDup as its authors wrote it: the upper triangle of all pairs, its largest entry by column."""
    exact = vectors.astype(np.longdouble)
    exact /= np.sqrt((exact**2).sum(axis=1, keepdims=True))
    pairs = np.triu(exact @ exact.T, k=1)
    pairs[np.tril_indices(len(vectors))] = -np.inf
    largest = pairs.max(axis=0)
    return largest > 1 - epsilon, pairs.argmax(axis=0), largest


@pytest.mark.parametrize("epsilon", [0.001, 0.03, 0.1, 0.5])
def test_the_rule_is_that_of_all_pairs(epsilon):
    vectors = drawn(3000)
    duplicate, nearest, similarity = near_duplicates(vectors, epsilon=epsilon, block_rows=700)
    expected, expected_nearest, expected_similarity = all_pairs(vectors, epsilon)
    far = np.abs(expected_similarity - (1 - epsilon)) > 1e-6  # rounding to six decimals decides the others
    assert far.mean() > 0.99
    assert np.array_equal(duplicate[far], expected[far])
    assert (nearest[0], np.isnan(similarity[0]), duplicate[0]) == (-1, True, False)
    np.testing.assert_allclose(similarity[1:], expected_similarity[1:].astype(float), atol=6e-7)
    assert (nearest[1:] == expected_nearest[1:]).mean() > 0.99
    assert expected.any() == (epsilon > 0.001)


def test_exact_copies_name_the_earliest():
    one, other = drawn(2, noise=1.0, seed=3)
    vectors = np.stack([one, other, one, 5 * one, other, one])
    duplicate, nearest, similarity = near_duplicates(vectors, epsilon=1e-6, block_rows=2)
    assert duplicate.tolist() == [False, False, True, True, True, True]
    assert nearest[2:].tolist() == [0, 0, 1, 0]
    assert similarity[2:].tolist() == [1.0, 1.0, 1.0, 1.0]


def test_a_removed_member_removes_others():
    # A chain: each is near the one before it and no other. SemDeDup keeps the first alone.
    angles = np.arange(4) * 0.2
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    duplicate, nearest, _ = near_duplicates(vectors, epsilon=1 - np.cos(0.3))
    assert duplicate.tolist() == [False, True, True, True]
    assert nearest.tolist() == [-1, 0, 1, 2]


@pytest.mark.parametrize(("epsilon", "expected"), [(0.07, False), (0.070001, True), (0.069999, False)])
def test_the_threshold_itself_is_not_above_it(epsilon, expected):
    assert is_duplicate(np.array([0.93, np.nan]), epsilon).tolist() == [expected, False]


@pytest.mark.parametrize("block_rows", [1, 7, 64, 4096])
@pytest.mark.parametrize("pieces", [1, 13, 300])
def test_blocks_and_pieces_decide_nothing(block_rows, pieces):
    vectors = np.concatenate([drawn(500, seed=1), drawn(100, seed=1)])  # the last hundred: exact copies
    _, nearest, similarity = near_duplicates(vectors, epsilon=0.03)
    members = EarlierMembers(block_rows=block_rows)
    found = [members.compare_and_add(piece) for piece in np.array_split(vectors, pieces)]
    assert np.array_equal(np.concatenate([one for one, _ in found]), nearest)
    assert np.array_equal(np.concatenate([one for _, one in found]), similarity, equal_nan=True)
    assert len(members) == 600


def test_members_beyond_the_memory_are_in_a_file():
    vectors = drawn(1000, seed=2)
    members = EarlierMembers(memory_bytes=200 * WIDTH * 4, block_rows=64)
    found = [members.compare_and_add(piece) for piece in np.array_split(vectors, 4)]
    assert members.bytes_in_file == (1000 // 64 - 200 // 64) * 64 * WIDTH * 4
    _, nearest, similarity = near_duplicates(vectors, epsilon=0.03)
    assert np.array_equal(np.concatenate([one for one, _ in found]), nearest)
    assert np.array_equal(np.concatenate([one for _, one in found]), similarity, equal_nan=True)


def test_products_are_exact(any_seed):
    """The claim that all rests on: sums of products stay whole numbers below 2^53, in any order."""
    from udfs.deduplication import _whole

    draw = np.random.default_rng(any_seed)
    vectors = np.concatenate(
        [drawn(4, seed=any_seed), np.eye(2, WIDTH, dtype=np.float32), np.ones((1, WIDTH))]
    )
    whole = _whole(vectors.astype(np.float32))
    exact = [[sum(int(a) * int(b) for a, b in zip(x, y, strict=True)) for y in whole] for x in whole]
    assert max(map(max, exact)) < 2**53
    for _ in range(3):
        order = draw.permutation(WIDTH)
        product = whole[:, order].astype(np.float64) @ whole[:, order].astype(np.float64).T
        assert product.astype(object).tolist() == exact


def test_vectors_without_a_direction_are_told_and_refused():
    vectors = drawn(4)
    vectors[1], vectors[2, 3], vectors[3, 0] = 0, np.nan, np.inf
    assert usable(vectors).tolist() == [True, False, False, False]
    with pytest.raises(ValueError, match="zero or not finite"):
        near_duplicates(vectors, epsilon=0.1)
    members = EarlierMembers()
    members.compare_and_add(drawn(2))
    with pytest.raises(ValueError, match="members have 48 dimensions, found 3"):
        members.compare_and_add(np.ones((1, 3), np.float32))
    assert members.compare_and_add(np.empty((0, WIDTH), np.float32))[0].shape == (0,)
