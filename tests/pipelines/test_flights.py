"""The flights, all 336,776 of them, from CSV files to an endpoint that answers."""

import json
import re
import subprocess

import pytest

from tests.pipelines.command_line import WINE, call, environment, settled, write_config
from tests.ports import free_port

FLIGHTS = WINE.with_name("flights.yaml")


@pytest.mark.slow
def test_flights_end_to_end(tmp_path):
    budget = {"seconds": 30, "trials": 2}  # of each family; `make run` and `make bench` do ten
    config = write_config(
        tmp_path / "flights.yaml", base=FLIGHTS, serving={"port": free_port(200)}, search={"budget": budget}
    )
    try:
        code, output = call("run", config, folder=tmp_path, seconds=500)

        assert code == 0, output
        assert re.search(r"^ ✓ ingest .* 336,776 rows", output, re.MULTILINE), output
        assert "Gate      promoted (" in output
        curl = next(line for line in output.splitlines() if line.startswith("curl "))
        done = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, check=True, env=environment())
        prediction = json.loads(done.stdout)["predictions"][0]
        assert prediction["label"] in (True, False)
        assert sum(prediction["probabilities"].values()) == pytest.approx(1)
        folder = (tmp_path / "build/runs/flights/latest").resolve()
        metrics = json.loads(next(folder.glob("artifacts/*/evaluate/evaluate_report/metrics.json")).read_bytes())
        assert "roc_auc" in json.dumps(metrics)
    finally:
        call("stop", folder=tmp_path)
    assert settled(tmp_path, servers=0) == {}
