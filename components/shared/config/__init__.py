"""The configuration of one use case: a table, a target, and what each stage should do.

One YAML file, one `Config`; each section has a file of its own here, and `config.py` puts them together. Unknown keys
are refused, every field has its unit and default in its description, and each stage receives only its own section.
`pipelines.config_file.load_config` reads a file and lists every mistake at once.
"""

from components.shared.config.base import (
    ColumnType,
    Memory,
    ObjectName,
    OnFailure,
    Section,
    Share,
)
from components.shared.config.cluster import DEFAULT_TASKS, ClusterConfig, TaskConfig
from components.shared.config.config import Config
from components.shared.config.contract import CheckRule, ColumnRule, ContractConfig, UniqueRule
from components.shared.config.evaluation import EvaluationConfig
from components.shared.config.gate import ChampionRule, GateConfig, SliceRule, Threshold
from components.shared.config.monitoring import ColumnDrift, DriftMethod, MonitoringConfig
from components.shared.config.monitoring_labels import LabelsConfig
from components.shared.config.monitoring_policy import EvidenceRule, EvidenceRules, PolicyConfig, RetrainingBudget
from components.shared.config.monitoring_windows import WindowsConfig
from components.shared.config.prepare import Bounds, PrepareConfig, SplitConfig
from components.shared.config.problem import ErrorCosts, ProblemConfig, ThresholdRule
from components.shared.config.profile import ProfileConfig
from components.shared.config.search import Budget, ParameterSpace, SearchConfig
from components.shared.config.serving import (
    CanaryConfig,
    DarkLaunchConfig,
    ExtraColumns,
    InferenceLogConfig,
    ReplicasConfig,
    ResourcesConfig,
    ServingConfig,
    ShadowConfig,
)
from components.shared.config.source import SourceConfig
from components.shared.config.table import NULLS, SpellingConfig, TableConfig
from components.shared.config.train import DatePart, FittingConfig, TrainConfig
from components.shared.names import FamilyName, TaskName
from components.shared.names import MetricName as Metric

__all__ = [
    "DEFAULT_TASKS",
    "NULLS",
    "Bounds",
    "Budget",
    "CanaryConfig",
    "ChampionRule",
    "CheckRule",
    "ClusterConfig",
    "ColumnDrift",
    "ColumnRule",
    "ColumnType",
    "Config",
    "ContractConfig",
    "DarkLaunchConfig",
    "DatePart",
    "DriftMethod",
    "ErrorCosts",
    "EvaluationConfig",
    "EvidenceRule",
    "EvidenceRules",
    "ExtraColumns",
    "FamilyName",
    "FittingConfig",
    "GateConfig",
    "InferenceLogConfig",
    "LabelsConfig",
    "Memory",
    "Metric",
    "MonitoringConfig",
    "ObjectName",
    "OnFailure",
    "ParameterSpace",
    "PolicyConfig",
    "PrepareConfig",
    "ProblemConfig",
    "ProfileConfig",
    "ReplicasConfig",
    "ResourcesConfig",
    "RetrainingBudget",
    "SearchConfig",
    "Section",
    "ServingConfig",
    "ShadowConfig",
    "Share",
    "SliceRule",
    "SourceConfig",
    "SpellingConfig",
    "SplitConfig",
    "TableConfig",
    "TaskConfig",
    "TaskName",
    "Threshold",
    "ThresholdRule",
    "TrainConfig",
    "UniqueRule",
    "WindowsConfig",
]
