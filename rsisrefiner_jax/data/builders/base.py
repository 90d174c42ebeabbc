"""The TFDS builder of all data sets: the features, and the records of pictures.

TFDS runs here without TensorFlow. `GeneratorBasedBuilder` would not do: it sorts all records in
memory and, beyond 1 GB, in files that it opens with TensorFlow. `ShardBasedBuilder` writes shard
after shard in the order given.
"""

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2
from tqdm import tqdm

from rsisrefiner_jax.data.builders.layout import VERSION, Layout
from rsisrefiner_jax.data.builders.picture_records import load_picture_records, load_record
from rsisrefiner_jax.data.builders.record import Record

SHARD_BYTES = 128 << 20  # TFDS holds one shard in memory

Files = Mapping[str, Sequence[str]]  # split -> paths of its files, in order


class SceneBuilder(tfds.core.ShardBasedBuilder):
    """Writes the records of pictures (builders/picture_records.py), in order.

    Args:
        layout: says what the data set is.
        files: of records, by split; those without a record must not be among them.
        name: of the data set.
        data_dir: the records go to data_dir/name/version.
    """

    VERSION = tfds.core.Version(VERSION)
    # To find it, TFDS 4.9 imports importlib_resources, which it does not require to be installed.
    code_path = None

    def __init__(self, *, layout: Layout, files: Files, name: str, **kwargs: Any) -> None:
        self._layout = layout
        self._files = files
        self.name = name
        super().__init__(file_format="array_record", **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features
        return _Info(
            builder=self,
            description=self._layout.description,
            homepage=self._layout.homepage or None,
            citation=self._layout.citation or None,
            features=features.FeaturesDict(
                {
                    "name": features.Text(),
                    "image": features.Image(shape=(None, None, 3)),
                    "labels": features.Sequence(
                        features.Image(
                            shape=(None, None, 1), dtype=np.uint16, encoding_format="png"
                        )
                    ),
                    "objects": features.Sequence(
                        {
                            "id": features.Scalar(np.int64),
                            "layer": features.Scalar(np.int64),
                            "category": features.Text(),
                        }
                    ),
                    "ignore": features.Image(shape=(None, None, 1), encoding_format="png"),
                }
            ),
            disable_shuffling=True,
        )

    def _example_writer(self) -> tfds.core.ExampleWriter:
        return _SameBytes(self.info.file_format)

    def _shard_iterators_per_split(self, dl_manager: Any) -> dict[str, list[Any]]:
        shards = {split: list(_shards(paths)) for split, paths in self._files.items()}
        total = sum(len(shard) for own in shards.values() for shard in own)
        bar = tqdm(desc="records", total=total, unit="scene", mininterval=1)
        return {
            split: [functools.partial(_records, shard, bar) for shard in own]
            for split, own in shards.items()
        }


class _Info(tfds.core.DatasetInfo):
    def initialize_from_bucket(self) -> None:
        """Does not look for the data set at Google, which leaves a folder in /tmp behind."""


class _SameBytes(tfds.core.ExampleWriter):
    """Puts the fields of a record in order: protobuf's own order changes from run to run."""

    def write(self, path: Any, examples: Iterable[tuple[Any, bytes]]) -> Any:
        in_order = (
            (key, tf_example_pb2.Example.FromString(data).SerializeToString(deterministic=True))
            for key, data in examples
        )
        return super().write(path, in_order)


Shard = list[tuple[str, int]]  # file, and where in it a record starts


def _shards(paths: Sequence[str]) -> Iterator[Shard]:
    shard: Shard = []
    size = 0
    for path in paths:
        for start, end in itertools.pairwise(load_picture_records(path).starts):
            if shard and size + end - start > SHARD_BYTES:
                yield shard
                shard, size = [], 0
            shard.append((path, start))
            size += end - start
    yield shard


def _records(shard: Shard, bar: tqdm) -> Iterator[tuple[str, Record]]:
    for path, start in shard:
        yield f"{path}:{start}", load_record(path, start)
        bar.update()
    if bar.n == bar.total:
        bar.close()
