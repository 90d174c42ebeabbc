"""Fresh parameters are drawn as PyTorch and the reference draw them."""

import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from tests import tiny


@pytest.mark.parametrize(
    ("path", "bound"),
    [
        # PyTorch's default, 1 / sqrt(fan in), of weight and bias.
        ("gate/kernel", 1 / 64**0.5),
        ("gate/bias", 1 / 64**0.5),
        ("extractor/block_1/offset/kernel", 1 / 72**0.5),
        ("extractor/block_1/offset/bias", 1 / 72**0.5),
        ("extractor/block_2/deform/kernel", 1 / 72**0.5),
        ("extractor/project/kernel", 1 / 16**0.5),
        ("prev_mask/xception/depthwise_1/kernel", 1 / 3),
        ("decoder/layer_0/mlp_out/kernel", 1 / 128**0.5),
        ("decoder/layer_0/token_self/out_proj/kernel", 1 / 32**0.5),
        # Transposed convolutions count the outgoing channels: 4 * 16, 4 * 8.
        ("decoder/up_1/kernel", 1 / 64**0.5),
        ("fusion/up_2/kernel", 1 / 32**0.5),
        ("neck/level_32/down/kernel", 1 / 128**0.5),
        # Xavier: the packed projection as one matrix, the ViT, patches as rows.
        ("decoder/layer_0/token_attends/in_proj/kernel", (6 / (32 + 96)) ** 0.5),
        ("backbone/block_0/attn/qkv/kernel", (6 / (32 + 96)) ** 0.5),
        ("backbone/block_1/mlp/fc1/kernel", (6 / (32 + 128)) ** 0.5),
        ("backbone/patch_embed/kernel", (6 / (768 + 32)) ** 0.5),
        ("patch_embed_coords/kernel", (6 / (1024 + 32)) ** 0.5),
    ],
)
def test_uniform_initialisation(path, bound):
    values = flatten_dict(tiny.variables()["params"], sep="/")[path]
    largest = np.abs(values).max()
    assert largest <= bound * 1.00001
    assert largest > bound * (1 - 8 / values.size)
    if values.size > 200:
        assert abs(values.std() / (bound / 3**0.5) - 1) < 0.1
        assert abs(values.mean()) < 0.15 * bound


@pytest.mark.parametrize(
    ("path", "std"),
    [
        ("multi_scale/fuse/kernel", (2 / 8) ** 0.5),
        ("multi_scale/conv_0/kernel", (2 / 8) ** 0.5),
        ("prev_mask/conv_1/kernel", (2 / 72) ** 0.5),
        ("backbone/pos_embed", 0.02),
        ("decoder/mask_token", 0.02),
    ],
)
def test_normal_initialisation(path, std):
    values = flatten_dict(tiny.variables()["params"], sep="/")[path]
    assert abs(values.std() / std - 1) < 3 / values.size**0.5
    assert np.abs(values).max() > 1.8 * std  # no uniform distribution reaches this


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("theta", 1),
        ("scale", 1),
        ("in_proj/bias", 0),
        ("multi_scale/fuse/bias", 0),
        ("prev_mask/conv_0/bias", 0),
        ("patch_embed/bias", 0),
        ("patch_embed_coords/bias", 0),
        ("qkv/bias", 0),
        ("fc2/bias", 0),
    ],
)
def test_constant_initialisation(pattern, value):
    params = flatten_dict(tiny.variables()["params"], sep="/")
    found = [leaf for path, leaf in params.items() if path.endswith(pattern)]
    assert found
    assert all((leaf == value).all() for leaf in found)
