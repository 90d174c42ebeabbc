"""One click: what a pass costs against its floor, what the cache saves, and what is around it.

    python -m benchmarks.click
    python -m benchmarks.click --set model.dtype=bfloat16 --batch 1 8 32

Three tables: a forward pass (the picture and its mirror image) whole and from cached features;
its parts, for RS-ISRefiner on a plain ViT; and everything around the network, for `--objects`
objects in flight.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measure import Times, arguments, machine, peak_memory, report, timed
from benchmarks.network import pass_input, timed_model
from rsisrefiner_jax.checkpoint.loading import LoadedModel
from rsisrefiner_jax.errors import run_main
from rsisrefiner_jax.interaction import annotator, metrics
from rsisrefiner_jax.interaction import loop as click_loop
from rsisrefiner_jax.interaction.clicks import count
from rsisrefiner_jax.interaction.loop import Loop, Objects
from rsisrefiner_jax.models.flops import flops
from rsisrefiner_jax.models.refiner.fusion import early_fusion
from rsisrefiner_jax.models.refiner.modulation import modulated_mask
from rsisrefiner_jax.models.refiner.network import Refiner


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[1], help="objects in one pass")
    parser.add_argument("--objects", type=int, default=8, help="objects in flight around it")
    parser.add_argument("--image", type=int, nargs=2, default=[1024, 1024], metavar=("H", "W"))
    args = parser.parse_args()
    model = timed_model(args)
    about = machine(model.config.model.dtype)
    limit = about["matmul_gflop_s"] * 1e9
    loop = Loop(model.model, model.config.protocol, 1)

    rows: list[dict[str, Any]] = []
    for batch in args.batch:
        rows += passes(model, loop, batch, args.repeat, limit)
    report("A forward pass", about, rows, args.json)
    if isinstance(model.model, Refiner):
        inside = parts(model, loop, args.batch[0], args.repeat, limit)
        report("Inside a forward pass", about, inside, args.json)
    cached = next(row["ms"] for row in rows if row["pass"] == "cached")
    report("Around the network", about, around(loop, args, cached, args.batch[0]), args.json)


def passes(
    model: LoadedModel, loop: Loop, batch: int, repeat: int, limit: float
) -> list[dict[str, Any]]:
    """Whole passes, the picture's share, and passes on cached features."""
    network, variables = loop.model, model.variables
    image, given = pass_input(loop, batch)

    def features(variables: Any, image: Any) -> Any:
        return click_loop.encode(network, variables, image)

    def cached(variables: Any, features: Any, given: Any) -> Any:
        return click_loop.predict(network, variables, features, given)

    def whole(variables: Any, image: Any, given: Any) -> Any:
        return cached(variables, features(variables, image), given)

    kept = jax.jit(features)(variables, image)
    rows: list[dict[str, Any]] = []
    for name, function, inputs in (
        ("whole", whole, (image, given)),
        ("picture's share", features, (image,)),
        ("cached", cached, (kept, given)),
    ):
        count = flops(function, variables, *inputs)
        times = timed(partial(jax.jit(function), variables, *inputs), repeat)
        rows.append(
            {
                "pass": name,
                "objects": batch,
                "GFLOP": round(count / 1e9, 1),
                "ms": times,
                "ms/object": times.median * 1e3 / batch,
                "times its floor": times.median / (count / limit),
                "of the limit": count / limit / times.median,
                "of a whole pass": times.median / rows[0]["ms"].median if rows else 1.0,
                "peak GiB": (peak_memory() or 0) / 2**30 or None,
            }
        )
    return rows


def parts(
    model: LoadedModel, loop: Loop, batch: int, repeat: int, limit: float
) -> list[dict[str, Any]]:
    """The modules of a pass, each alone and compiled on its own, largest first."""
    config, variables = model.config.model, model.variables
    image, given = pass_input(loop, batch)
    image, given = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (image, given))
    prev_mask, clicks = given

    def run(method: Any, *inputs: Any) -> Any:
        return loop.model.apply(variables, *inputs, method=method)

    rows: list[dict[str, Any]] = []

    def part(name: str, method: Any, *inputs: Any) -> Any:
        function = jax.jit(partial(run, method))
        count = flops(partial(run, method), *inputs)
        times = timed(partial(function, *inputs), repeat)
        floor = count / limit
        rows.append(
            {
                "part": name,
                "GFLOP": round(count / 1e9, 1),
                "ms": times,
                "floor ms": floor * 1e3,
                "above it ms": (times.median - floor) * 1e3,
            }
        )
        return function(*inputs)

    side = config.image_size // config.patch_size
    aux = jnp.stack([prev_mask] * 4, -1)
    tokens = part("patch embedding, picture", lambda r, x: r.backbone.embed(x), image)
    coords = part("patch embedding, clicks", lambda r, x: r.patch_embed_coords(x), aux)
    vit = part("ViT blocks", lambda r, *x: r.backbone(*x), tokens, coords)
    f_vit = vit[2].reshape(len(aux), side, side, -1)
    extracted = part("image feature extractor", lambda r, x: r.extractor(x, False), image)
    projected = part("fusion: projections", lambda r, x: r.fusion.project(x), extracted)
    early = part(
        "early fusion",
        lambda r, a, b: early_fusion(a, b, config.early_fusion, r.gate),
        *vit[:2],
    )
    f_hq = part("fusion: the rest", lambda r, *x: r.fusion(*x, False), early, projected)
    f_mask = part("previous-mask encoder", lambda r, x: r.prev_mask(x, False), aux)
    levels = part("SimpleFPN", lambda r, x: r.neck(x), f_vit)
    f_multi = part("multi-scale fusion", lambda r, x: r.multi_scale(x), levels)
    part(
        "decoder",
        lambda r, *x: r.decoder(*x, loop.copies),
        f_mask,
        f_vit,
        f_hq + f_multi,
    )
    modulation = partial(modulated_mask, config=config, plain=False, group=loop.copies)
    part("modulation", lambda r, *x: modulation(*x), prev_mask, clicks)
    return sorted(rows, key=lambda row: -row["ms"].median)


def around(loop: Loop, args: Any, cached: Times, batch: int) -> list[dict[str, Any]]:
    """Every part of a click outside the network, an object at a time as the loop does it on CPU."""
    objects, view = objects_in_flight(loop, args.objects, tuple(args.image))
    protocol = loop.protocol
    keys = jax.random.split(jax.random.key(0), args.objects)

    def each(function: Any) -> Any:
        """`function` of one object, for all of them in a row."""
        return jax.jit(lambda *trees: jax.lax.map(lambda xs: function(*xs), trees))

    def rows_of_one(function: Any) -> Any:
        def one(*trees: Any) -> Any:
            return jax.tree.map(lambda x: x[0], function(*jax.tree.map(lambda x: x[None], trees)))

        return each(one)

    mask = view.probs > protocol.pred_thr
    logits = jnp.zeros((args.objects, loop.copies, *[loop.model.image_size] * 2))
    given = click_loop.model_input(view, loop)

    def choose(target: Any, mask: Any, clicks: Any, keys: Any) -> Any:
        errors = annotator.errors(target, mask)
        return annotator.next_click(*errors, clicks, count(clicks), keys, loop.click_rule)

    add_click = partial(click_loop.add_click, protocol=protocol)
    yx = jnp.full((args.objects, 2), 100.0)
    label = jnp.ones(args.objects, jnp.int32)
    modulate = partial(_modulate, loop)
    parts = {
        "next click (error maps, distance transform)": (
            rows_of_one(choose),
            (objects.target, mask, view.clicks, keys),
        ),
        "crop box": (rows_of_one(add_click), (view, yx, label, objects.size)),
        "crop of the picture (when the box moves)": (
            rows_of_one(lambda i, r: click_loop.crop_image(i, r, loop)),
            (objects.image, view.roi),
        ),
        "crop of the previous mask": (
            rows_of_one(lambda v: click_loop.model_input(v, loop)),
            (view,),
        ),
        "modulation": (each(modulate), (given,)),
        "flip average, paste back": (
            rows_of_one(lambda v, x: click_loop.paste_answer(v, x, loop)),
            (view, logits),
        ),
        "IoU": (rows_of_one(metrics.iou), (objects.target, mask)),
    }
    network = cached.median / batch * args.objects
    rows: list[dict[str, Any]] = [{"part": "network (cached)", "ms": network * 1e3, "share": 1.0}]
    total = 0.0
    for name, (function, inputs) in parts.items():
        times = timed(partial(function, *inputs), args.repeat)
        total += times.median
        rows.append({"part": name, "ms": times, "share": times.median / network})
    return [*rows, {"part": "all around it", "ms": total * 1e3, "share": total / network}]


def _modulate(loop: Loop, given: click_loop.ModelInput) -> jax.Array:
    model: Any = loop.model
    return modulated_mask(*given, model.config, plain=False, group=loop.copies)


def objects_in_flight(loop: Loop, count: int, shape: tuple[int, int]) -> tuple[Objects, Any]:
    """Ellipses of many sizes, each half found."""
    rng = np.random.default_rng(0)
    h, w = shape
    y, x = np.mgrid[:h, :w]
    target = np.zeros((count, h, w), np.int8)
    probs = np.zeros((count, h, w), np.float32)
    for i in range(count):
        a, b = rng.uniform(0.02, 0.2, 2) * [h, w]
        cy, cx = rng.uniform(0.25, 0.75, 2) * [h, w]
        target[i] = ((y - cy) / a) ** 2 + ((x - cx) / b) ** 2 < 1
        far = ((y - cy) / a) ** 2 + ((x - cx - b / 2) / b) ** 2
        probs[i] = np.clip(1 - far / 2, 0, 1)
    view = click_loop.no_clicks(count, shape, loop.protocol.max_clicks)._replace(
        probs=jnp.asarray(probs)
    )
    size = jnp.tile(jnp.array(shape, jnp.int32), (count, 1))
    image = jnp.asarray(rng.integers(0, 256, (count, h, w, 3), np.uint8))
    objects = Objects(image, jnp.asarray(target), size, jnp.zeros(count, jnp.uint32))
    for _ in range(3):
        yx = jnp.asarray(rng.uniform(0.3, 0.7, (count, 2)) * [h, w], jnp.float32)
        view, _ = click_loop.add_click(view, yx, jnp.ones(count, jnp.int32), size, loop.protocol)
    return objects, view


if __name__ == "__main__":
    run_main(main)
