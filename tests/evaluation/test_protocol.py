import pytest

from co2net import create_model
from co2net.evaluation.report import protocol


@pytest.mark.parametrize(
    "backbone, mapping, words",
    [("rain", "paper", "sparse"), ("rain", "smooth", "complete"), ("lutnet", "predicted", "predicts")],
)
def test_says_which_mapping_was_used(backbone, mapping, words):
    model = create_model(backbone=backbone, mapping=mapping, refinement=False)
    assert words in protocol._mapping(model)
