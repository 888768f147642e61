"""The commands of `python -m pipelines`, one function each; all return an exit code."""

import argparse
import json
import logging
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from components.shared.config import Config
from components.shared.config_file import load_config

BUILD = Path("build")


def run(options: argparse.Namespace) -> int:
    """Run the pipeline here and say what came of it."""
    config = load_config(options.config)
    from pipelines.task_runner import warm_up

    warm_up()  # the libraries load while kfp is imported and the store starts
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its warnings of retries are not for the terminal
    from rich.console import Console
    from rich.text import Text

    from pipelines.local_run import run_here
    from pipelines.summary import print_summary, write_index

    console = Console(file=sys.stdout, highlight=False)  # kept: kfp's own output is turned elsewhere
    console.print(Text.assemble("\n", (config.name, "bold"), f" · {config.description}\n"), soft_wrap=True)
    result = run_here(config, console, _pipeline_arguments(options))
    print_summary(result, write_index(config, result), console)
    return 0


def _pipeline_arguments(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "window_start": options.window_start,
        "window_end": options.window_end,
        "paths": options.paths,
        "force_promotion": options.force,
    }


def stop(options: argparse.Namespace) -> int:
    """Stop every process that runs have started here."""
    del options
    from pipelines.local_services import stop_all

    stopped = stop_all(Path.cwd())
    print("\n".join(f"stopped {name}" for name in stopped) or "nothing was running")
    return 0


def compile(options: argparse.Namespace) -> int:
    """Write the pipeline for a KFP cluster."""
    config = load_config(options.config)
    from kfp import compiler

    from pipelines.training import training_pipeline

    output = options.output or BUILD / f"{config.name}.yaml"
    output.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        compiler.Compiler().compile(training_pipeline(config), str(output))
    print(f"wrote {output}")
    return 0


def contract(options: argparse.Namespace) -> int:
    """Write a contract inferred from the data."""
    config = load_config(options.config)
    from components.ingest.ingest import ingest_table
    from components.validate.infer import write_contract

    output = options.output or BUILD / f"{config.name}-contract.yaml"
    with tempfile.TemporaryDirectory(prefix="fullcircle-contract-") as folder:
        table = Path(folder, "table.parquet")
        ingest_table(config.source, config.problem, table)
        write_contract(table, config.problem, output)
    print(f"wrote {output}: look it over, then paste it over the `contract:` section of {options.config}")
    return 0


def schema(options: argparse.Namespace) -> int:
    """Print the JSON Schema of the configuration."""
    del options
    json.dump(Config.model_json_schema(), sys.stdout, indent=2)
    print()
    return 0
