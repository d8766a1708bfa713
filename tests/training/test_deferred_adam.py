import pytest
import torch

from eimf_local.ibim.registry import build_backbone
from eimf_local.training import loop
from eimf_local.training.deferred_adam import DeferredAdam
from eimf_local.training.objective import build_objective
from tests.training import small

N, D, TOUCHED = 400, 6, 12


class TestAgainstAdam:
    def run(self, steps, *, scale=1e-3, dtype=torch.float64, settle_at=()):
        """Adam's and our tables after the same gradients; a few rows come often, most seldom, some never."""
        generator = torch.Generator().manual_seed(0)
        start = 0.1 * torch.randn(N, D, dtype=dtype, generator=generator)
        dense, table = (torch.nn.Parameter(start.clone()) for _ in range(2))
        adam = torch.optim.Adam([dense], lr=1e-3, foreach=False)
        ours = DeferredAdam([table], table=table, lr=1e-3)
        for step in range(1, steps + 1):
            rows = torch.randint(0, N // 2 if step % 3 else 20, (TOUCHED,), generator=generator)
            gradient = scale * torch.randn(TOUCHED, D, dtype=dtype, generator=generator)
            ours.refresh(rows)
            dense.grad = torch.zeros_like(dense).index_add_(0, rows, gradient)
            table.grad = torch.sparse_coo_tensor(rows[None], gradient, table.shape, check_invariants=True)
            adam.step()
            ours.step()
            if step in settle_at:
                ours.settle()
        return (dense, adam), (table, ours)

    @pytest.mark.parametrize(("scale", "bound"), [(1e-1, 1e-9), (1e-3, 2e-7), (1e-7, 3e-5)])
    def test_equals_it_within_the_series_error(self, scale, bound):
        (dense, adam), (table, ours) = self.run(400, scale=scale)
        ours.settle()
        moved = (dense - 0.1 * torch.randn(N, D, dtype=torch.float64, generator=torch.Generator().manual_seed(0))).abs()
        assert moved.max() > 0.03
        assert (dense - table).abs().max() < bound
        for name in ("exp_avg", "exp_avg_sq"):
            torch.testing.assert_close(ours.state[table][name], adam.state[dense][name], rtol=1e-10, atol=0)

    def test_equals_it_in_float32_within_rounding(self):
        (dense, _), (table, ours) = self.run(400, dtype=torch.float32)
        ours.settle()
        torch.testing.assert_close(table, dense, rtol=0, atol=2e-6)

    def test_when_to_settle_makes_no_difference_beyond_the_series(self):
        tables = [self.run(400, settle_at=points)[1] for points in ((), (100, 101, 350))]
        for _, ours in tables:
            ours.settle()
        torch.testing.assert_close(tables[0][0], tables[1][0], rtol=0, atol=1e-6)

    def test_rows_wait_until_they_are_read(self):
        (dense, _), (table, ours) = self.run(50)
        behind = (dense - table).abs().amax(1) > 1e-5
        assert behind.any()
        ours.refresh(behind.nonzero())
        assert (dense - table).abs().max() < 1e-5

    def test_rows_never_touched_never_move(self):
        _, (table, ours) = self.run(50)
        before = table[N // 2 :].clone()
        ours.settle()
        assert torch.equal(table[N // 2 :], before)

    def test_long_after_the_table_of_sums_ends(self):
        (dense, adam), (table, ours) = self.run(20)
        ours._steps = 30_000  # as if both had run on, unseen
        ours._last.fill_(29_000)
        adam.state[dense]["step"].fill_(29_000)
        with torch.no_grad():
            for whole, part in (
                (dense, table),
                *((adam.state[dense][k], ours.state[table][k]) for k in ("exp_avg", "exp_avg_sq")),
            ):
                whole.copy_(part)
        for _ in range(1000):
            dense.grad = torch.zeros_like(dense)
            adam.step()
        ours.settle()
        torch.testing.assert_close(table, dense, rtol=0, atol=1e-9)


class TestInTraining:
    @pytest.fixture(autouse=True)
    def _every_table_is_large(self, monkeypatch):
        monkeypatch.setattr(loop, "DEFERRED_FROM", 1)

    def test_a_run_is_the_dense_run_within_rounding(self, tmp_path, monkeypatch):
        result, weights = small.train(tmp_path / "deferred", max_steps=80)
        monkeypatch.setattr(loop, "DEFERRED_FROM", 10**9)
        other, others = small.train(tmp_path / "dense", max_steps=80)
        assert result.best_valid == pytest.approx(other.best_valid, abs=0.05)
        for name, value in weights.items():
            torch.testing.assert_close(value, others[name], rtol=0, atol=2e-3)

    def test_an_interrupted_run_gives_the_same_bits(self, tmp_path):
        def interrupt(progress):
            if progress.step == 100:
                raise KeyboardInterrupt

        _, expected = small.train(tmp_path / "a")
        with pytest.raises(KeyboardInterrupt):
            small.train(tmp_path / "b", callback=interrupt)
        _, found = small.train(tmp_path / "b")
        assert all(torch.equal(found[name], expected[name]) for name in expected)

    def test_the_padding_row_stays_zero_and_the_backbone_is_free_afterwards(self, tmp_path):
        backbone, objective = small.models()
        small.train(tmp_path, backbone, objective, max_steps=40)
        assert not backbone.item_vectors()[0].any()
        assert backbone.before_lookup is None

    def test_a_loss_over_all_items_is_not_deferred(self):
        backbone = build_backbone("remi", n_items=9, dim=4, interests=2, max_length=5)
        for kind, expected in (("sampled", DeferredAdam), ("full", torch.optim.Adam)):
            objective = build_objective(backbone, loss={"kind": kind}, objective={})
            assert type(loop.make_optimizer(backbone, objective, learning_rate=1e-3)) is expected
