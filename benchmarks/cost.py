"""What a network costs on paper: parameters and multiply-adds of a pass, by module.

    python -m benchmarks.cost
    python -m benchmarks.cost --config configs/mfp.py

Nothing is computed. A pass is that of one picture from the pixels on; a first click takes two of
them where `model.first_pass=double`. Modulation and click maps have no matrix products.
"""

import argparse
from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp

from rsisrefiner_jax.config import Model, load
from rsisrefiner_jax.console import add_overrides
from rsisrefiner_jax.errors import run_main
from rsisrefiner_jax.interaction.clicks import empty
from rsisrefiner_jax.models.flops import operations
from rsisrefiner_jax.models.registry import abstract_variables, make_model
from rsisrefiner_jax.weights import count


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="configs/base.py")
    add_overrides(parser)
    args = parser.parse_args()
    config = load(args.config, args.set).model
    variables = abstract_variables(config)
    parameters = {name: count(tree) for name, tree in variables["params"].items()}
    pass_cost = multiply_adds(config, variables)
    print(f"{'module':24}{'parameters':>14}{'frozen':>8}{'GMAC':>9}")
    for name in [*parameters, *(name for name in pass_cost if name not in parameters)]:
        frozen = "yes" if name in config.frozen else ""
        print(f"{name:24}{parameters.get(name, 0):14,}{frozen:>8}{pass_cost[name] / 1e9:9.3f}")
    total = sum(parameters.values())
    print(f"{'total':24}{total:14,}{'':8}{pass_cost.total() / 1e9:9.3f}")


def multiply_adds(config: Model, variables: Any, depth: int = 1) -> Counter[str]:
    """Multiply-adds of one pass, {module: number}, and "resize" of all resizing.

    variables: arrays or their shapes. depth: of modules within modules that are told apart.
    """
    side = config.image_size

    def one_pass(variables: Any, image: Any, prev_mask: Any) -> Any:
        given = (image, prev_mask, empty(1, 1))
        return make_model(config).apply(variables, *given, first=False)

    shapes = (1, side, side, 3), (1, side, side)
    given = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)
    total: Counter[str] = Counter()
    for path, n in operations(one_pass, variables, *given).items():
        parts = path.split("/")
        total["resize" if parts[-1] == "resize" else "/".join(parts[:depth])] += n // 2
    return total


if __name__ == "__main__":
    run_main(main)
