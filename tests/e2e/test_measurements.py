"""The benchmarks and soaks run as the README says, and write one flat object of numbers."""

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROMISED = {"readings_per_cpu_s", "node_rss_mb", "start_cpu_s", "idle_cpu_percent"}

pytestmark = [pytest.mark.slow]


def measured(*words: str, file: Path) -> dict[str, float]:
    done = subprocess.run(
        [*words, "--quick", "--json", str(file)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    metrics: dict[str, float] = json.loads(file.read_text("utf-8"))
    assert metrics
    assert all(isinstance(value, int | float) for value in metrics.values())
    return metrics


def test_the_pipeline_is_measured(tmp_path: Path) -> None:
    metrics = measured("scripts/bench", "pipeline", file=tmp_path / "pipeline.json")
    assert set(metrics) >= PROMISED
    assert all(metrics[name] > 0 for name in PROMISED - {"idle_cpu_percent"})


def test_memory_is_soaked(tmp_path: Path) -> None:
    metrics = measured("scripts/soak", "memory", file=tmp_path / "soak.json")
    assert any("growth" in name for name in metrics)
