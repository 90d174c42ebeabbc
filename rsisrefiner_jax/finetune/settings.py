"""How a network is trained further: as it was trained, on other data, in smaller steps.

The learning rate stays the same throughout and the average of the weights is what counts: so the
number of steps may be chosen late, and no last stage has to be planned.
"""

import dataclasses

from rsisrefiner_jax.config import Config, Data, Parallel, Train, Validate, apply_overrides
from rsisrefiner_jax.finetune.plan import Plan

RATE = 0.3  # of the network's own first learning rate
AVERAGE = 0.98  # decay of the average of the weights
WARMUP = 10  # steps
FEWEST, MOST = 40, 1000  # steps that are chosen
PER_OBJECT = 16  # steps for each object trained on, at most: with more it learns these by heart
SMALLEST = 16  # pixels of a target in training, at least
ZOOM = (0.2, 0.7)  # share of the crop that an object takes, about as in clicking
FAR = 0.05  # scale to which pictures are made smaller at most, so that large objects are seen whole


def network_of(plan: Plan, own: Config) -> Config:
    """The configuration of the network as it is used here, before and after: `own` with what
    `--set` says of it, and pictures as the annotator shows them."""
    groups = ("model.", "protocol.", "eval.")
    given = [change for change in plan.changes if change.startswith(groups)]
    own, plain = apply_overrides(own, given), Data()
    side = own.model.image_size
    data = dataclasses.replace(
        own.data,
        train=(plan.spec("train", 2 * side),),
        eval=(plan.spec("held-out", side),),
        weights=(),
        workers=0,
        bands=plain.bands,
        stretch=plain.stretch,
        stretch_8bit=plain.stretch_8bit,
        fill=plain.fill,
    )
    # Every object counts, however small, and the report shows no panels.
    return dataclasses.replace(
        own,
        data=data,
        protocol=dataclasses.replace(own.protocol, min_area=0),
        eval=dataclasses.replace(own.eval, panels=0, limit=None),
    )


def training_of(plan: Plan, network: Config, smallest: int, steps: int) -> Config:
    """The configuration of the training.

    smallest: pixels of the smallest object that is trained on.
    """
    own = network.data.augment
    # Crops lie about objects, as in clicking: anywhere else they show halves of objects.
    scale = (min(own.scale[0], FAR), own.scale[1])
    augment = dataclasses.replace(own, zoom=own.zoom or ZOOM, scale=scale)
    least = max(SMALLEST, smallest // 4)
    batch = min(network.train.batch_size, 8)
    config = dataclasses.replace(
        network,
        name="finetune",
        note=f"{plan.network}, trained further on {plan.project}",
        data=dataclasses.replace(
            network.data,
            augment=augment,
            mosaic=0.0,
            hull_objects=0.0,  # outlines are learned as they were drawn
            loose_objects=0.0,
            min_object_area=min(network.data.min_object_area, least),
        ),
        optim=dataclasses.replace(
            network.optim,
            lr=RATE * network.optim.lr,
            schedule="steps",
            milestones=(),
            warmup_steps=WARMUP,
            clip_norm=network.optim.clip_norm or 1.0,
            ema=AVERAGE,
        ),
        train=Train(
            batch_size=batch,
            epochs=1,
            samples_per_epoch=10 * batch * MOST,
            max_steps=steps,
            log_every=5,
            checkpoint_every=20,
            preview_every=10 * MOST,
            keep=2,
            init_from=plan.network,
        ),
        validate=Validate(),
        parallel=Parallel(),
    )
    return apply_overrides(config, plan.changes)
