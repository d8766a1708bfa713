import numpy as np
import pytest
import torch

from eimf_local.data.dataset import Dataset, EvaluationUsers, Split
from eimf_local.errors import InputError
from eimf_local.training.sampling import BatchSampler, PackedSequences, pack

L = 6
LENGTHS = torch.tensor([5, 4, 12, 7, 3, 30, 6])  # rows 1 and 4 are too short


def sequences():
    """User u's item at position j is 100 u + j + 1, with a stretch of another user's items between."""
    gaps = torch.arange(len(LENGTHS)) + 1
    starts = (LENGTHS + gaps).cumsum(0) - LENGTHS
    sequence = torch.full((int(starts[-1] + LENGTHS[-1]),), 9999)
    for user, (start, length) in enumerate(zip(starts.tolist(), LENGTHS.tolist(), strict=True)):
        sequence[start : start + length] = 100 * user + torch.arange(length) + 1
    return PackedSequences(sequence, starts, LENGTHS)


def sampler(batch_size=4, seed=0, max_length=L):
    generator = torch.Generator().manual_seed(seed)
    return BatchSampler(sequences(), batch_size=batch_size, max_length=max_length, generator=generator)


def draws(count=400, **settings):
    source = sampler(**settings)
    return [source.draw() for _ in range(count)]


def test_shapes_and_types():
    batch = sampler().draw()
    assert (batch.history.shape, batch.history.dtype) == ((4, L), torch.int64)
    assert (batch.mask.shape, batch.mask.dtype) == ((4, L), torch.bool)
    assert (batch.target.shape, batch.users.shape) == ((4,), (4,))


def test_history_is_the_last_items_before_the_target_oldest_first_right_padded():
    for batch in draws(60):
        for row, mask, target, user in zip(*(part.tolist() for part in batch), strict=True):
            k = target - 100 * user - 1
            expected = [100 * user + j + 1 for j in range(max(0, k - L), k)]
            assert row == expected + [0] * (L - len(expected))
            assert mask == [item > 0 for item in row]


def test_target_position_covers_4_to_the_last_and_nothing_else():
    seen: dict[int, set[int]] = {}
    for batch in draws(1500):
        for target, user in zip(batch.target.tolist(), batch.users.tolist(), strict=True):
            seen.setdefault(user, set()).add(target - 100 * user - 1)
    assert {user: (min(ks), max(ks)) for user, ks in seen.items()} == {
        user: (4, int(LENGTHS[user]) - 1) for user in (0, 2, 3, 5, 6)
    }
    assert len(seen[5]) == 26


def test_target_position_is_uniform():
    ks = torch.cat([b.target[b.users == 2] for b in draws(4000)]) - 201
    counts = torch.bincount(ks, minlength=12)[4:].double()
    chi_square = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    assert chi_square < 24.3  # 99.9 % point at 7 degrees of freedom


def test_users_are_distinct_eligible_and_uniform():
    batches = draws(4000, batch_size=2)
    assert all(len(batch.users.unique()) == 2 for batch in batches)
    users, counts = torch.cat([batch.users for batch in batches]).unique(return_counts=True)
    assert users.tolist() == [0, 2, 3, 5, 6]
    assert ((counts - 1600).abs() < 150).all()  # five standard deviations


def test_a_batch_larger_than_the_users_holds_them_all():
    assert sampler(batch_size=100).draw().users.sort().values.tolist() == [0, 2, 3, 5, 6]


def test_is_deterministic_and_driven_by_the_seed():
    first, again, other = draws(5), draws(5), draws(5, seed=1)
    assert all(torch.equal(a, b) for x, y in zip(first, again, strict=True) for a, b in zip(x, y, strict=True))
    assert not all(torch.equal(x.target, y.target) for x, y in zip(first, other, strict=True))


def test_the_generators_state_is_the_whole_state():
    source = sampler()
    source.draw()
    state = source._generator.get_state()
    expected = source.draw()
    resumed = sampler(seed=9)
    resumed._generator.set_state(state)
    assert all(torch.equal(a, b) for a, b in zip(resumed.draw(), expected, strict=True))


def test_without_an_eligible_user_the_error_names_the_remedy():
    short = PackedSequences(torch.ones(4, dtype=torch.int64), torch.tensor([0]), torch.tensor([4]))
    with pytest.raises(InputError, match="none of the 1 training users has 5 interactions"):
        BatchSampler(short, batch_size=2, max_length=3, generator=torch.Generator())


def test_pack_shows_the_trainer_only_what_the_split_allows():
    none = np.zeros(0, dtype=np.int64)
    nobody = EvaluationUsers(none, none, none)
    dataset = Dataset(
        users=("a", "b", "c"),
        items=tuple("12345678"),
        titles=tuple("12345678"),
        offsets=np.array([0, 6, 12, 18]),
        sequence=np.array([1, 2, 3, 4, 5, 6] + [7] * 6 + [6, 5, 4, 3, 2, 8], dtype=np.int32),
        timestamps=None,
    )
    ends = np.array([5, 6])
    split = Split("global-time", 0, np.array([2, 0]), ends, (ends * 0.8).astype(np.int64), nobody, nobody)
    packed = pack(dataset, split)
    assert packed.sequence.dtype == torch.int64
    owned = [packed.sequence[s : s + n].tolist() for s, n in zip(packed.starts, packed.lengths, strict=True)]
    assert owned == [[6, 5, 4, 3, 2], [1, 2, 3, 4, 5, 6]]
    source = BatchSampler(packed, batch_size=2, max_length=4, generator=torch.Generator().manual_seed(0))
    for _ in range(50):
        batch = source.draw()
        assert not torch.isin(torch.cat([batch.target, batch.history.flatten()]), torch.tensor([7, 8])).any()
