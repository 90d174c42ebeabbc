"""The full-size networks against the reference's own numbers: stage by stage, and losses."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convert_weights.convert import model_of
from convert_weights.rules import Sizes
from rsisrefiner_jax.config import Model
from rsisrefiner_jax.interaction.clicks import Clicks
from rsisrefiner_jax.models.registry import make_model
from rsisrefiner_jax.models.vit import partition
from rsisrefiner_jax.training.losses import normalized_focal_loss
from tests import full_size

pytestmark = pytest.mark.slow

ALIASES = {  # where a module has the reference's name
    "vit_final": "block12",
    "patch_embed_coords": "coord_tokens",
    "final_token": "Q_final",
}
CASES = ["first_b1", "first_b2", "later_b1_pos", "later_b1_neg", "later_b2", "mixed_b2"]


@partial(jax.jit, static_argnums=(0, 1, 2))
def run(config: Model, first: bool, group: int, variables, image, prev_mask, clicks: Clicks):
    inputs = (image, prev_mask, clicks)
    return make_model(config).apply(
        variables, *inputs, first=first, group=group, mutable=["intermediates"]
    )


def stages(intermediates) -> dict[str, list[np.ndarray]]:
    """{name: value per pass} of everything sown, whatever the module."""
    found: dict[str, list[np.ndarray]] = {}

    def walk(tree, prefix=""):
        for name, value in tree.items():
            if isinstance(value, tuple):
                full = "ife_block1_offsets" if (prefix, name) == ("block_1", "offsets") else name
                found[full] = [np.asarray(v) for v in value]
            else:
                walk(value, name)

    walk(intermediates)
    return found


def as_reference(name: str, x: np.ndarray, shape) -> np.ndarray:
    """Our NHWC or [batch, tokens, channels] array in the reference's layout."""
    if name == "final_token":
        return x[None]
    if name == "logits_112":
        return x[:, None]
    if x.ndim == 4:
        return x.transpose(0, 3, 1, 2)
    if tuple(shape) != x.shape and shape[0] == 4 * x.shape[0]:
        return np.asarray(partition(jnp.asarray(x), 28, 2))  # a windowed block
    if tuple(shape) != x.shape or name.startswith(("dec", "F_early_up", "F_IFE_up")):
        return x.swapaxes(0, 1)
    return x


def check_pass(golden, number: int, found: dict[str, list[np.ndarray]], skip=()) -> int:
    """Every recorded intermediate of a pass within 2e-3 of its standard deviation."""
    prefix, checked = f"p{number}/", 0
    for key in golden.files:
        if not (key.startswith(prefix) and key.endswith("/idx")):
            continue
        name = key.split("/")[1]
        if name in skip:
            continue
        alias = ALIASES.get(name, name)
        assert alias in found, name
        values = found[alias]
        x = values[number - 1] if len(values) > 1 else values[0]
        x = as_reference(name, x, golden[f"{prefix}{name}/shape"])
        assert x.shape == tuple(golden[f"{prefix}{name}/shape"])
        error = np.abs(x.ravel()[golden[key]] - golden[f"{prefix}{name}/val"]).max()
        assert error <= 2e-3 * golden[f"{prefix}{name}/std"], (prefix + name, error)
        checked += 1
    return checked


def check(golden, answer, least: int) -> None:
    """Every pass's recorded intermediates, and logits within 1e-3."""
    logits, updated = answer
    found = stages(updated["intermediates"])
    for number in range(1, 1 + int(golden["num_passes"])):
        assert check_pass(golden, number, found) >= least
        ours = found["logits_112"][number - 1]
        error = np.abs(ours[:, None] - golden[f"p{number}/logits_112"]).max()
        assert error < 1e-3, error
    final = np.asarray(logits).ravel()[golden["instances/idx"]]
    np.testing.assert_allclose(final, golden["instances/val"], atol=1e-3)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("mode", ["paper", "official"])
def test_refiner(mode, case):
    golden = np.load(full_size.GOLDENS / "forward" / f"fwd_rsis_{mode}_{case}.npz")
    image, prev_mask, clicks = full_size.inputs(golden)
    # The reference's scramble runs over its whole batch.
    group = len(image) if mode == "official" else 1
    config, double = full_size.model(mode), int(golden["num_passes"]) == 2
    variables = full_size.variables("rsisrefiner")
    answer = run(config, double, group, variables, image, prev_mask, clicks)
    check(golden, answer, least=30)
    if losses := full_size.recorded(mode, case, "bn_eval"):
        loss = normalized_focal_loss(answer[0], jnp.asarray(full_size.label(golden)))
        np.testing.assert_allclose(loss, losses["loss_per_sample"], rtol=1e-5)
        assert loss.mean() == pytest.approx(float(losses["loss"]), rel=1e-5)
    assert bool(losses) == (case in ("later_b2", "first_b2"))


@pytest.mark.parametrize("case", ["first_b1", "later_b1_pos", "later_b1_neg", "later_b2"])
def test_mfp(case):
    golden = np.load(full_size.GOLDENS / "forward" / f"fwd_mfp_{case}.npz")
    image, prev_mask, clicks = full_size.inputs(golden)
    config, double = model_of("mfp", Sizes(), 448), int(golden["num_passes"]) == 2
    variables = full_size.variables("mfp")
    check(golden, run(config, double, 1, variables, image, prev_mask, clicks), least=16)
