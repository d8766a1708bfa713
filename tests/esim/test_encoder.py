"""The real MiniLM of the packaged default."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eimf_local.data.dataset import Dataset
from eimf_local.errors import ModelFileError
from eimf_local.esim import encoder as module
from eimf_local.esim.encoder import TextEncoder, item_embeddings, load_encoder, user_embeddings, user_texts


@pytest.fixture(scope="module")
def minilm() -> TextEncoder:
    return load_encoder()


@pytest.fixture(scope="module")
def data() -> Dataset:
    return Dataset(
        users=("u", "v"),
        items=("a", "b", "c"),
        titles=("gel pens", "garden trowel", "gel pens"),
        offsets=np.array([0, 3, 4]),
        sequence=np.array([1, 2, 1, 3], np.int32),
        timestamps=None,
    )


def test_rows_are_unit_finite_and_in_order(minilm: TextEncoder) -> None:
    texts = ["gel pens", "", "a much longer title " * 60, "gel pens", "\U0001f600"]
    rows = minilm.encode(texts)
    assert rows.shape == (5, 384)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(rows[0], rows[3])


def test_meaning_is_near(minilm: TextEncoder) -> None:
    pens, ink, trowel = minilm.encode(["gel pens", "ballpoint pens with black ink", "garden trowel"])
    assert pens @ ink > pens @ trowel + 0.2


def test_no_texts_give_no_rows(minilm: TextEncoder) -> None:
    assert minilm.encode([]).shape == (0, 384)


def test_item_and_user_embeddings(minilm: TextEncoder, data: Dataset) -> None:
    items = item_embeddings(data, minilm)
    assert items.shape == (4, 384)
    assert not items[0].any()
    np.testing.assert_array_equal(items[1], items[3])
    users = user_embeddings(data, np.array([0, 1]), np.array([2, 0]), items)
    mean = items[[1, 2]].mean(0)
    np.testing.assert_allclose(users[0], mean / np.linalg.norm(mean), atol=1e-6)
    assert not users[1].any()  # nothing visible


def test_user_texts_join_the_visible_titles_oldest_first(data: Dataset) -> None:
    assert user_texts(data, np.array([0, 1]), np.array([2, 1])) == ["gel pens. garden trowel", "gel pens"]


def test_progress_counts_distinct_texts(minilm: TextEncoder) -> None:
    seen: list[tuple[int, int]] = []
    minilm.encode(["a", "b", "a"], callback=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 2)]


def test_when_the_packaged_weights_differ_they_are_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEFAULT_WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(ModelFileError, match="not the official ones"):
        load_encoder()


def test_when_a_folder_is_no_encoder_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"modules\.json"):
        load_encoder(str(tmp_path))
    (tmp_path / "modules.json").write_text("[]x")
    with pytest.raises(ModelFileError, match="cannot load it"):
        load_encoder(str(tmp_path)).encode(["a"])
