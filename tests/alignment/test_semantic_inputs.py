import pytest
import torch

from eimf_local.alignment.semantic_inputs import SemanticInputs
from eimf_local.errors import InputError

N, T, G, M, U = 10, 6, 3, 4, 7


def parts(**changes):
    given = {
        "item_text": torch.zeros(N + 1, T),
        "interests": torch.zeros(G, M, T),
        "mask": torch.ones(G, M, dtype=torch.bool),
        "cluster": torch.tensor([0, 1, 2, 2, 1, 0, 0]),
    }
    return given | changes


def test_item_texts_alone_are_enough():
    inputs = SemanticInputs(item_text=torch.zeros(N + 1, T))
    assert inputs.text_dim == T
    assert inputs.interests is None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"mask": None}, "given together"),
        ({"item_text": torch.zeros(N + 1)}, r"not \[N"),
        ({"interests": torch.zeros(G, T)}, r"not \[G"),
        ({"interests": torch.zeros(G, M, T + 1)}, "differ in T"),
        ({"mask": torch.ones(G, M + 1, dtype=torch.bool)}, "mask does not fit"),
        ({"cluster": torch.tensor([0, 3])}, "names an exemplar"),
        ({"cluster": torch.tensor([-1, 0])}, "names an exemplar"),
        ({"cluster": torch.tensor([0.0, 1.0])}, "row of numbers"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, problem):
    with pytest.raises(InputError, match=problem):
        SemanticInputs(**parts(**changes))
