"""A configuration file: what is read from it, and the errors of a wrong one."""

from pathlib import Path

import jsonschema
import pytest
import yaml

import components.shared.config as config_module
from components.shared.config import Config
from components.shared.errors import ConfigError
from components.shared.families import FAMILIES
from pipelines.config_file import load_config

CONFIGS = sorted(Path("pipelines/configs").glob("*.yaml"))
MINIMAL = """
name: churn
source: {tables: {customers: {path: customers.csv}}}
problem: {target: churned, task: binary}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def mistakes(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(write(folder, text))
    return str(caught.value)


def test_three_keys_are_a_whole_configuration(tmp_path):
    config = load_config(write(tmp_path, MINIMAL))

    assert config.name == "churn"
    assert config.prepare.split.method == "auto"
    assert config.gate.mode == "block"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configurations_are_valid_and_name_their_schema(path):
    load_config(path)

    assert path.read_text().startswith("# yaml-language-server: $schema=schema.json\n")
    jsonschema.validate(yaml.safe_load(path.read_text()), Config.model_json_schema())


def test_all_mistakes_are_listed_at_once_with_path_value_and_what_is_allowed(tmp_path):
    text = (
        MINIMAL
        + "search: {budget: {second: 3, trials: -1}, families: [lightgbn]}\n"
        + "gate: {thresholds: {roc_acu: {minimum: 1}}}\n"
    )

    message = mistakes(tmp_path, text)

    assert "4 mistakes" in message
    assert "search.budget.second: unknown key. Did you mean `seconds`?" in message
    assert "search.budget.trials: found -1; input should be greater than or equal to 1." in message
    assert "search.families.0: found 'lightgbn'; allowed: 'linear', 'hist_gradient_boosting'" in message
    assert "Did you mean 'lightgbm'?" in message
    assert "gate.thresholds.roc_acu: found 'roc_acu'" in message


def test_an_unknown_key_without_a_near_name_lists_the_allowed_ones(tmp_path):
    assert "Allowed here: name, description, source" in mistakes(tmp_path, MINIMAL + "xyz: 1\n")


def test_a_misspelt_key_inside_a_mapping_is_recognised(tmp_path):
    message = mistakes(tmp_path, MINIMAL + "contract: {columns: {age: {nulable: true}}}\n")

    assert "contract.columns.age.nulable: unknown key. Did you mean `nullable`?" in message


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("search: {families: [dummy]}", "`dummy` is only the baseline"),
        ("search: {families: [linear, linear]}", "each family may be named once"),
        ("train: {calibration: isotonik}", "Did you mean 'isotonic'?"),
        ("search: {metric: rmse}", "search.metric: 'rmse' is not a metric of a binary task"),
        ("search: {space: {lightgbm: {num_leaves: {low: 5}}}}", "either `low` and `high`, or `choices`"),
        ("search: {space: {lightgbm: {num_leaves: {low: 9, high: 5}}}}", "low (9.0) is above high (5.0)"),
        ("search: {space: {lightgbm: {rate: {low: 0, high: 5, log: true}}}}", "needs low above 0"),
        ("gate: {thresholds: {accuracy: {}}}", "give `minimum`, `maximum` or both"),
        ("serving: {replicas: {minimum: 3, maximum: 2}}", "maximum (2) is below minimum (3)"),
        ("serving: {resources: {cpu: 2, cpu_limit: 1}}", "cpu (2) is above cpu_limit (1)"),
        ("serving: {resources: {memory: 2Gi, memory_limit: 512Mi}}", "memory (2Gi) is above memory_limit (512Mi)"),
        ("serving: {canary: {percent: 51}}", "serving.canary.percent: found 51"),
        ("cluster: {namespace: My_Place}", "cluster.namespace"),
        ("prepare: {split: {method: grouped}}", "`group` names a column exactly when method is `grouped`"),
    ],
)
def test_sections_that_contradict_themselves_are_refused(tmp_path, extra, expected):
    assert expected in mistakes(tmp_path, MINIMAL + extra + "\n")


def test_a_leak_or_the_target_as_feature_is_refused(tmp_path):
    text = MINIMAL.replace("task: binary", "task: binary, features: [age, left_on, churned], leaks: [left_on]")

    message = mistakes(tmp_path, text)

    assert "names 'left_on', which is also in problem.leaks" in message
    assert "names 'churned', which is also in problem.target" in message


def test_several_tables_need_a_query(tmp_path):
    text = MINIMAL.replace("{customers: {path: customers.csv}}", "{a: {path: a.csv}, b: {path: b.csv}}")

    assert "a query is needed to join 2 tables (a, b)" in mistakes(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "holds nothing; expected a mapping"),
        ("- a\n- b\n", "expected a mapping with `name`"),
        ("name: [a\n", "is not valid YAML"),
        ("name: a\nname: b\n", "the key 'name' stands twice (line 2, column 1)"),
        ("name: x\n", "problem: this key is required and was not found."),
    ],
)
def test_files_that_are_no_configuration(tmp_path, text, expected):
    assert expected in mistakes(tmp_path, text)


def test_a_missing_file_suggests_the_nearest(tmp_path):
    write(tmp_path, MINIMAL)

    with pytest.raises(ConfigError, match=r"no such configuration file. Did you mean .*config.yaml\?"):
        load_config(tmp_path / "confg.yaml")


def test_a_folder_and_a_file_of_another_encoding(tmp_path):
    with pytest.raises(ConfigError, match="is a folder"):
        load_config(tmp_path)
    path = tmp_path / "latin.yaml"
    path.write_bytes("name: é".encode("latin-1"))
    with pytest.raises(ConfigError, match="is not UTF-8 text: .* at byte 6"):
        load_config(path)


def test_a_stages_task_keeps_what_is_not_said(tmp_path):
    config = load_config(write(tmp_path, MINIMAL + "cluster: {tasks: {train: {memory_limit: 9Gi}}}\n"))

    train = config_module.DEFAULT_TASKS["train"]
    assert config.cluster.tasks["train"] == train.model_copy(update={"memory_limit": "9Gi"})
    assert {**config.cluster.tasks, "train": train} == config_module.DEFAULT_TASKS


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("{cpu: 3}", "cpu (3) is above cpu_limit (2)"),
        ("{memory: 5Gi}", "memory (5Gi) is above memory_limit (4Gi)"),
        ("{memory: 5GB}", "cluster.tasks.train.memory"),
        ("{memory_limits: 5Gi}", "Did you mean `memory_limit`?"),
        ("3", "cluster.tasks.train"),
    ],
)
def test_wrong_tasks_are_refused(tmp_path, task, message):
    assert message in mistakes(tmp_path, MINIMAL + f"cluster: {{tasks: {{train: {task}}}}}\n")


def test_a_task_of_no_stage_is_refused(tmp_path):
    assert "cluster.tasks.trian" in mistakes(tmp_path, MINIMAL + "cluster: {tasks: {trian: {cpu: 1}}}\n")


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        ("threshold: atuo", "problem.threshold: found 'atuo'; expected `auto` or a probability above 0 and below 1"),
        ("threshold: 1.2", "problem.threshold: found 1.2; expected `auto` or a probability"),
        ("threshold: true", "problem.threshold: found True; expected `auto` or a probability"),
        (
            "threshold_by: {metric: f1, costs: {false_positive: 1, false_negative: 5}}",
            "give `metric` or `costs`, not both",
        ),
        (
            "threshold_by: {costs: {false_positive: 1}}",
            "problem.threshold_by.costs.false_negative: this key is required",
        ),
        ("threshold_by: {metric: recall}", "problem.threshold_by.metric: found 'recall'; allowed: 'f1', 'accuracy'"),
        (
            "threshold: 0.3, threshold_by: {metric: f1}",
            "threshold is fixed at 0.3, so threshold_by would have no effect",
        ),
        ("task: multiclass, threshold: 0.3", "threshold is for binary tasks; a multiclass task has no threshold"),
        ("task: regression, threshold_by: {metric: accuracy}", "threshold_by is for binary tasks"),
    ],
)
def test_a_threshold_is_a_probability_or_chosen_by_one_thing(tmp_path, problem, expected):
    task = "" if "task:" in problem else "task: binary, "
    text = MINIMAL.replace("task: binary}", f"{task}{problem}}}")
    assert expected in mistakes(tmp_path, text)


def test_isotonic_calibration_is_for_two_classes(tmp_path):
    text = MINIMAL.replace("binary", "multiclass") + "train: {calibration: isotonic}\n"
    assert "train.calibration: `isotonic` is for two classes, and the task is multiclass" in mistakes(tmp_path, text)


def test_a_family_that_cannot_do_the_task_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(type(FAMILIES["lightgbm"]), "tasks", frozenset({"regression"}))

    message = mistakes(tmp_path, MINIMAL + "search: {families: [linear, lightgbm]}\n")

    assert "search.families: lightgbm cannot do a binary task; these can: linear, hist_gradient_boosting," in message


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", "yes"),
        ("No", "No"),
        ("on", "on"),
        ("true", True),
        ("'true'", "true"),
        ("1", 1),
        ("'1'", "1"),
        ("02134", "02134"),
        ("007", "007"),
        ("12:30", "12:30"),
        ("2024-01-31", "2024-01-31"),
        ("-7", -7),
    ],
)
def test_values_are_what_was_written(tmp_path, written, value):
    path = tmp_path / "config.yaml"
    path.write_text(
        "name: a\nsource: {tables: {t: {path: t.csv}}}\n"
        f"problem: {{target: y, task: binary, positive: {written}}}\n"
        f"contract: {{columns: {{y: {{allowed: [{written}]}}}}}}\n"
        "prepare: {drop_duplicates: yes}\n",
        encoding="utf-8",
    )
    config = load_config(path)
    assert config.problem.positive == value
    assert type(config.problem.positive) is type(value)
    assert config.contract.columns["y"].allowed == [value]
    assert config.prepare.drop_duplicates is True


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("{path: t.csv, kind: ftp}", "source.tables.t.kind: found 'ftp'; allowed: 'files', 'http', 's3', 'package',"),
        ("{path: t.csv, kind: s3}", "source.tables.t: `kind: s3` expects a path such as s3://…; found 't.csv'."),
        ("{path: s3://b/t.csv, delimitre: ;}", "source.tables.t.delimitre: unknown key. Did you mean `delimiter`?"),
        ("{path: t.parquet, format: parquet, delimiter: ';'}",
         "source.tables.t: `delimiter` is for csv files, and `format` is parquet; leave one out."),
        ("{path: t.xlsx, format: csv, sheet: a}",
         "source.tables.t: `sheet` is for excel files, and `format` is csv; leave one out."),
        ("t.csv", "source.tables.t: found 't.csv'; "),
    ],
)  # fmt: skip
def test_mistakes_in_a_table_are_told_at_its_place(tmp_path, table, message):
    text = f"name: a\nsource: {{tables: {{t: {table}}}}}\nproblem: {{target: y, task: regression}}\n"
    assert message in mistakes(tmp_path, text)


@pytest.mark.parametrize(
    ("path", "kind"),
    [("t.csv", "files"), ("HTTP://host/t.csv", "http"), ("s3://b/*.csv", "s3"), ("package://m/t.csv", "package")],
)
def test_tables_without_a_kind_are_of_that_of_their_place(tmp_path, path, kind):
    file = tmp_path / "config.yaml"
    file.write_text(
        f"name: a\nsource: {{tables: {{t: {{path: '{path}'}}}}}}\nproblem: {{target: y, task: regression}}\n"
    )
    assert load_config(file).source.tables["t"].kind == kind
