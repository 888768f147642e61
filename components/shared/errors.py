"""The errors a person is meant to read.

Each message says what was expected, what was found, where, and what to do. Everything else that escapes
from a stage is a defect of the project and keeps its traceback.
"""

_MISTAKES = 3


class FullcircleError(Exception):
    """A problem that the user can fix: shown as its message alone, without a traceback."""


class ConfigError(FullcircleError):
    """The configuration file cannot be used."""


class SourceError(FullcircleError):
    """A source table cannot be read, typed, joined or filtered."""


class ContractError(FullcircleError):
    """The table breaks its data contract."""


class DataError(FullcircleError):
    """The table is readable but cannot be learned from."""


class ParityError(FullcircleError):
    """The served ONNX graph and the scikit-learn pipeline disagree."""


class PackageError(FullcircleError):
    """A model package is incomplete, altered or of another format."""


class StoreError(FullcircleError):
    """The object store cannot be reached or refuses what was asked."""


class InputError(FullcircleError):
    """Rows sent for prediction do not fit the model's schema."""


class DeployError(FullcircleError):
    """The endpoint cannot be brought up or does not answer as it should."""


class UnreachableError(DeployError):
    """An endpoint does not answer at all, perhaps only not yet: unlike a wrong answer, it is worth asking again."""


class WrongAnswerError(DeployError):
    """An endpoint answers, but not as it should, or another version does."""


class MonitorError(FullcircleError):
    """The cluster's drift-report job cannot be started, or did not end well."""


def in_short(error: Exception) -> str:
    """A cause in one line, to end the message of an error of ours with: of a model's mistakes the first ones."""
    from pydantic import ValidationError  # here, for programs that only need to tell these errors from defects

    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())
    mistakes = error.errors(include_url=False, include_input=False)
    texts = [f"{'.'.join(map(str, mistake['loc'])) or 'content'}: {mistake['msg']}" for mistake in mistakes[:_MISTAKES]]
    return "; ".join([*texts, *(["…"] if len(mistakes) > _MISTAKES else [])])
