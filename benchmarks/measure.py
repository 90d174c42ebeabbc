"""Times, the machine's limit, and the table they are printed in."""

import argparse
import dataclasses
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from rsisrefiner_jax.console import add_overrides


@dataclasses.dataclass(frozen=True)
class Times:
    """Seconds of several repetitions."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        low, high = min(self.seconds), max(self.seconds)
        return f"{self.median * 1e3:.1f} ({low * 1e3:.1f}-{high * 1e3:.1f})"


def timed(function: Callable[[], Any], repeat: int) -> Times:
    """Runs `function` once to warm up and then `repeat` times, waiting for its result."""
    jax.block_until_ready(function())
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        jax.block_until_ready(function())
        seconds.append(time.perf_counter() - start)
    return Times(tuple(seconds))


def matmul_rate(dtype: str = "float32", side: int = 2048) -> float:
    """Operations a second of a square matrix product: the limit that rows are compared with."""
    x = jnp.ones((side, side), dtype)
    product = jax.jit(lambda x: x @ x)
    return 2 * side**3 / timed(lambda: product(x), 9).median


def peak_memory() -> float | None:
    """Peak bytes on the first device, where it says."""
    stats = jax.devices()[0].memory_stats()
    return stats.get("peak_bytes_in_use") if stats else None


def machine(dtype: str) -> dict[str, Any]:
    """What everything was measured on."""
    device = jax.devices()[0]
    return {
        "device": device.device_kind,
        "devices": len(jax.devices()),
        "host": platform.processor() or platform.machine(),
        "jax": jax.__version__,
        "matmul_gflop_s": round(matmul_rate(dtype) / 1e9, 1),
        "dtype": dtype,
    }


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options that all benchmarks share."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="configs/base.py", help="network, with random weights")
    parser.add_argument("--checkpoint", help="network with its weights, instead of --config")
    add_overrides(parser)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also writes everything there")
    return parser


def report(
    title: str, about: dict[str, Any], rows: Sequence[dict[str, Any]], path: Path | None
) -> None:
    """Prints a Markdown table, and writes it as JSON."""
    print(f"\n## {title}\n")
    print(", ".join(f"{name} {value}" for name, value in about.items()) + "\n")
    names = list(dict.fromkeys(name for row in rows for name in row))
    print(f"| {' | '.join(names)} |")
    print(f"| {' | '.join('---' for _ in names)} |")
    for row in rows:
        print(f"| {' | '.join(_cell(row.get(name)) for name in names)} |")
    if path is not None:
        content = json.loads(path.read_text()) if path.exists() else []
        values = [{k: v.seconds if isinstance(v, Times) else v for k, v in r.items()} for r in rows]
        content.append({"title": title, "about": about, "rows": values})
        path.write_text(json.dumps(content, indent=2) + "\n")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.{3 if abs(value) < 10 else 1}f}" if isinstance(value, float) else str(value)
