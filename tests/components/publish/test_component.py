import json

from kfp import dsl

from components.publish.component import publish
from components.shared.config import GateConfig, MonitoringConfig, ServingConfig
from components.shared.package.model_package import TRAINED_FILES
from components.shared.registry.monitoring import read_settings
from components.shared.registry.pending import PendingVersions
from components.shared.registry.registry import Registry
from tests.components.publish.test_publish import Inputs, make_inputs


def published(inputs: Inputs, **sections: str) -> str:
    """The version that the adapter makes of the files."""
    version: str = publish.python_func(
        name="demo",
        model=dsl.Model(uri=str(inputs.model)),
        evaluated=dsl.Artifact(uri=str(inputs.evaluated)),
        verdict=dsl.Artifact(uri=str(inputs.verdict)),
        **sections,
    )
    return version


def test_the_adapter_returns_the_version(store, packages, tmp_path, capsys):
    inputs = make_inputs(packages(), tmp_path)
    assert set(TRAINED_FILES) == {path.name for path in inputs.model.iterdir()}
    version = published(
        inputs,
        monitoring=MonitoringConfig(rows=123).model_dump_json(),
    )
    assert read_settings(store, "demo", version).rows == 123
    assert [found.version for found in Registry(store, "demo").versions()] == [version]
    assert capsys.readouterr().out == f"▸ version {version} stored\n"
    assert json.loads(inputs.verdict.read_text())["promoted"]


def test_a_version_that_waits_keeps_where_it_is_to_be_served(store, packages, tmp_path):
    inputs = make_inputs(packages(), tmp_path)
    version = published(
        inputs,
        waits_to_serve=ServingConfig(port=8123).model_dump_json(),
        gate=GateConfig(approval="required").model_dump_json(),
        namespace="team-a",
    )
    found = PendingVersions(store, "demo").waiting(version)
    assert (found.namespace, found.serving.port, found.gate.approval) == ("team-a", 8123, "required")
