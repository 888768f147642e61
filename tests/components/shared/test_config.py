"""The configuration model."""

import json
from pathlib import Path

import components.shared.config as config_module
from components.shared.config import Config, SearchConfig


def test_the_shipped_schema_is_the_models_own():
    assert json.loads(Path("pipelines/configs/schema.json").read_text()) == Config.model_json_schema()


def test_every_field_is_described():
    sections = [
        value
        for value in vars(config_module).values()
        if isinstance(value, type) and issubclass(value, config_module.Section)
    ]
    undescribed = [
        f"{section.__name__}.{name}"
        for section in sections
        for name, field in section.model_fields.items()
        if not field.description
    ]
    assert undescribed == []


def test_a_model_server_is_told_nothing_about_its_rollout():
    given = config_module.ServingConfig(port=9000, rows=5, canary=config_module.CanaryConfig(percent=5))

    told = config_module.ServingConfig.model_validate_json(given.server_settings)

    assert told == config_module.ServingConfig(rows=5)
    assert set(config_module.ServingConfig.model_fields) >= config_module.ServingConfig.ROLLOUT


def test_the_baseline_that_earlier_configurations_name_is_no_family(caplog):
    assert SearchConfig(families=["linear", "dummy"]).families == ["linear"]
    assert "search.families: `dummy` is left out, as evaluate always computes the baseline" in caplog.text
