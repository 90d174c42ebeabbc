"""The parity figure of a conversion certificate, which only the stand-in weights have."""

import numpy as np
import pytest

from convert_weights.certificate import GOLDENS, certificate
from convert_weights.convert import convert
from convert_weights.source import Source
from tests import full_size


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "whole", "of"),
    [
        ("rsisrefiner", True, "logits"),
        ("mfp", True, "logits"),
        ("mfp", False, "last ViT block and neck outputs"),
    ],
)
def test_stand_in_weights_have_a_figure(kind, whole, of):
    source = Source("stand-in.pth", "", 0, full_size.state_dict(kind))
    result = convert(source, kind, 448, whole)
    parity = certificate(source, result)["parity"]
    assert parity["golden"] == f"{kind}_stand_in"
    assert parity["of"] == of
    assert 0 < parity["figure"] < 2e-4

    # One wrong number in the weights, and they are not the recorded ones any more.
    tensors = dict(source.tensors)
    key = "neck.down_4.0.bias"
    tensors[key] = tensors[key] + np.float32(1e-3)
    record = certificate(Source("other.pth", "", 0, tensors), result)
    assert record["parity"] is None


def test_every_golden_is_in_the_package():
    from convert_weights import parity

    files = {path.stem for path in parity.FOLDER.iterdir()}
    assert files == set(GOLDENS.values())
