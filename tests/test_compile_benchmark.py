"""What `benchmarks.compile` reads from a compiled program's text, and which topologies it takes."""

import argparse

import pytest

from benchmarks.compile import collective_bytes, topology_devices
from rsisrefiner_jax.errors import UserError

TEXT = """
  %all-reduce.3 = (f32[64,32]{1,0:T(8,128)}, bf16[10]{0}) all-reduce(%a, %b), replica_groups={}
  %all-reduce-start.1 = f32[8]{0} all-reduce-start(%c), channel_id=1
  %all-reduce-done.1 = f32[8]{0} all-reduce-done(%all-reduce-start.1)
  ROOT %add.1 = f32[4096,4096]{1,0} add(%x, %y)
  %all-gather.7 = s8[2,3]{1,0} all-gather(%d), dimensions={0}
"""


def test_bytes_of_collectives():
    assert collective_bytes(TEXT) == 64 * 32 * 4 + 10 * 2 + 8 * 4 + 6


@pytest.mark.parametrize("name", ["v5e", "v5e:2", "h100:2x2", "v5e:axb"])
def test_a_topology_that_is_not_known(name):
    with pytest.raises(UserError, match="a kind"):
        topology_devices(argparse.Namespace(topology=name))
