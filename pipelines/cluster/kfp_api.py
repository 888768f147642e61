"""Kubeflow Pipelines' API, reached from a laptop or from inside the cluster; failures in the user's words.

Where it is: the address that is given; else, in a pod, the Service `ml-pipeline`; else the same Service through the
API server of the current kubeconfig context, which needs no port-forward but the right to use `services/proxy`.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import urllib3

from components.shared.errors import FullcircleError
from pipelines.cluster.kfp_failures import network_cause, quiet, service_message

if TYPE_CHECKING:
    from kfp.client import Client
    from kfp_server_api import ApiException, V2beta1GetHealthzResponse, V2beta1RecurringRun, V2beta1Run

Answer = TypeVar("Answer")
DEFAULT_NAMESPACE = "kubeflow"
TOKEN_VARIABLE = "FULLCIRCLE_KFP_TOKEN"  # noqa: S105, the name of one

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_TIMEOUT = urllib3.Timeout(connect=5.0, read=60.0)
_PAGE = 100
_UNAUTHORISED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404
_FORWARD = "kubectl -n {namespace} port-forward service/ml-pipeline-ui 8080:80"


class KfpError(FullcircleError):
    """Kubeflow Pipelines cannot be reached or refuses what was asked."""


@dataclass(frozen=True, slots=True)
class KfpSettings:
    """Where Kubeflow Pipelines is and how to sign in.

    Attributes:
        host: Its address, such as `http://localhost:8080`; empty to find it.
        token: A bearer token; never shown by `repr`. Empty for none.
        namespace: Of the runs: `kubeflow`, or a profile's where several users share an installation.
        kfp_namespace: Where Kubeflow Pipelines itself is installed.
    """

    host: str = ""
    token: str = field(default="", repr=False)
    namespace: str = DEFAULT_NAMESPACE
    kfp_namespace: str = DEFAULT_NAMESPACE


def read_token(text: str) -> str:
    """A token, or the content of the file that contains it.

    Raises:
        KfpError: The file cannot be read or is empty.
    """
    path = Path(text)
    looks_like_a_path = text.startswith(("/", "./", "../", "~"))
    if not looks_like_a_path:
        return text.strip()
    try:
        token = path.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KfpError(f"TOKEN: {text} cannot be read ({error}). Name the file that holds the token.") from error
    if not token:
        raise KfpError(f"TOKEN: {text} is empty. Name the file that holds the token.")
    return token


class Kfp:
    """One installation of Kubeflow Pipelines.

    Every method raises `KfpError` when it cannot be reached, refuses the token, or refuses what was asked.
    """

    def __init__(self, settings: KfpSettings) -> None:
        """Keep the settings; nothing is contacted before the first request.

        Args:
            settings: Where it is and how to sign in.
        """
        self.settings = settings

    @cached_property
    def address(self) -> str:
        """Where requests go."""
        return str(self._client._existing_config.host)

    @property
    def ui(self) -> str:
        """Where a browser finds the UI: the given address, or where a port-forward would put it."""
        return self.settings.host.rstrip("/") or "http://localhost:8080"

    @property
    def ui_hint(self) -> str:
        """What makes the links work; empty when they do."""
        return "" if self.settings.host else _FORWARD.format(namespace=self.settings.kfp_namespace)

    def run_link(self, run_id: str) -> str:
        """The page of a run."""
        return f"{self.ui}/#/runs/details/{run_id}"

    @property
    def user_namespace(self) -> str | None:
        """The namespace that requests name: None where one user has the installation."""
        return self._client.get_user_namespace() or None

    def find_pipeline(self, name: str) -> str | None:
        """Id of the pipeline of this name; None when there is none."""
        found = self._pages(
            "list the pipelines",
            "pipelines",
            lambda page: self._client.list_pipelines(
                page_token=page, page_size=_PAGE, namespace=self.user_namespace, filter=_equals("display_name", name)
            ),
        )
        return next((str(item.pipeline_id) for item in found if name in (item.display_name, item.name)), None)

    def create_pipeline(self, name: str, description: str) -> str:
        """Make a pipeline that has no version yet; its id."""
        import kfp_server_api

        pipeline = kfp_server_api.V2beta1Pipeline(
            display_name=name, name=name, description=description, namespace=self.user_namespace
        )
        made = self._do(
            f"create the pipeline {name}",
            lambda: self._client._pipelines_api.pipeline_service_create_pipeline(pipeline=pipeline),
        )
        return str(made.pipeline_id)

    def find_version(self, pipeline_id: str, name: str) -> str | None:
        """Id of the pipeline's version of this name; None when there is none."""
        found = self._pages(
            "list the pipeline's versions",
            "pipeline_versions",
            lambda page: self._client.list_pipeline_versions(
                pipeline_id, page_token=page, page_size=_PAGE, filter=_equals("display_name", name)
            ),
        )
        return next((str(item.pipeline_version_id) for item in found if name in (item.display_name, item.name)), None)

    def upload_version(self, pipeline_id: str, name: str, package: Path, *, description: str) -> str:
        """Upload a compiled pipeline as a version; its id."""
        made = self._do(
            f"upload {package}",
            lambda: self._client.upload_pipeline_version(
                str(package), name, pipeline_id=pipeline_id, description=description
            ),
        )
        return str(made.pipeline_version_id)

    def ensure_experiment(self, name: str, description: str) -> str:
        """Id of the experiment, made when there is none."""
        made = self._do(
            f"open the experiment {name}",
            lambda: self._client.create_experiment(name, description, namespace=self.user_namespace),
        )
        return str(made.experiment_id)

    def start_run(
        self, name: str, *, experiment: str, pipeline: str, version: str, parameters: dict[str, Any], account: str = ""
    ) -> str:
        """Start a run; its id."""
        made = self._do(
            f"start the run {name}",
            lambda: self._client.run_pipeline(
                experiment,
                name,
                params=parameters,
                pipeline_id=pipeline,
                version_id=version,
                service_account=account or None,
            ),
        )
        return str(made.run_id)

    def get_run(self, run_id: str) -> "V2beta1Run":
        """A run as the API describes it."""
        return self._do(f"look up the run {run_id}", lambda: self._client.get_run(run_id))

    def find_run(self, name: str) -> "V2beta1Run | None":
        """The newest run of this name; None when there is none."""
        runs = self._newest_runs(f"look for the run {name}", _equals("display_name", name))
        found = [run for run in runs if run.display_name == name]
        return self.get_run(found[0].run_id) if found else None

    def end_run(self, run_id: str) -> None:
        """Terminate a run that goes on."""
        self._do(f"terminate the run {run_id}", lambda: self._client.terminate_run(run_id))

    def newest_version(self, pipeline_id: str) -> str | None:
        """Id of the version of a pipeline that was uploaded last; None when there is none."""
        found = self._pages(
            "list the pipeline's versions",
            "pipeline_versions",
            lambda page: self._client.list_pipeline_versions(pipeline_id, page_token=page, page_size=_PAGE),
        )
        newest = max(found, key=lambda item: item.created_at, default=None)
        return str(newest.pipeline_version_id) if newest else None

    def list_schedules(self, experiment: str, name: str) -> "list[V2beta1RecurringRun]":
        """The recurring runs of an experiment that have this name."""
        found = self._pages(
            "list the recurring runs",
            "recurring_runs",
            lambda page: self._client.list_recurring_runs(
                page_token=page, page_size=_PAGE, experiment_id=experiment, filter=_equals("display_name", name)
            ),
        )
        return [item for item in found if item.display_name == name]

    def create_schedule(
        self,
        name: str,
        *,
        experiment: str,
        pipeline: str,
        version: str,
        cron: str,
        parameters: dict[str, Any],
        description: str,
        account: str = "",
    ) -> str:
        """Make a recurring run: one at a time, and none is made up for; its id."""
        made = self._do(
            f"create the recurring run {name}",
            lambda: self._client.create_recurring_run(
                experiment,
                name,
                description=description,
                cron_expression=cron,
                max_concurrency=1,
                no_catchup=True,
                params=parameters,
                pipeline_id=pipeline,
                version_id=version,
                service_account=account or None,
            ),
        )
        return str(made.recurring_run_id)

    def disable_schedule(self, schedule_id: str) -> None:
        """Let a recurring run start no more; what it has started goes on."""
        self._do(f"disable the recurring run {schedule_id}", lambda: self._client.disable_recurring_run(schedule_id))

    def newest_runs(self, schedule_id: str) -> "list[V2beta1Run]":
        """The newest runs that a recurring run has started, the last one first."""
        asked = _equals("recurring_run_id", schedule_id)
        return self._newest_runs(f"list the runs of the recurring run {schedule_id}", asked)

    def delete_schedule(self, schedule_id: str) -> None:
        """Delete a recurring run, and with it the Workflows and pods of those runs of it that still go on."""
        self._do(f"delete the recurring run {schedule_id}", lambda: self._client.delete_recurring_run(schedule_id))

    @cached_property
    def _client(self) -> "Client":
        from kfp.client import Client

        class OneQuestion(Client):  # type: ignore[misc]
            """KFP's client; it asks once where its own asks five times, and remembers in memory only."""

            def get_kfp_healthz(self, sleep_duration: int = 0) -> "V2beta1GetHealthzResponse":
                del sleep_duration
                pool = self._healthz_api.api_client.rest_client.pool_manager
                pool.connection_pool_kw.update(timeout=_TIMEOUT, retries=urllib3.Retry(total=1, backoff_factor=0.5))
                return self._healthz_api.healthz_service_get_healthz()

            def set_user_namespace(self, namespace: str) -> None:
                self._context_setting["namespace"] = namespace

            def _load_context_setting_or_default(self) -> None:
                self._context_setting = {"namespace": ""}

        self._check_there_is_a_way()
        with self._explained("sign in"), quiet():
            client = OneQuestion(host=self._host, existing_token=self.settings.token or None, namespace=self._found_in)
            client._existing_config.host = client._existing_config.host.rstrip("/")
            shared = client.get_kfp_healthz().multi_user
            client.set_user_namespace(self.settings.namespace if shared else "")
        if shared is None:  # KFP's client takes any text for an answer
            raise KfpError(
                f"{self._place} answers, but not as Kubeflow Pipelines does: with a page to sign in at, perhaps. "
                f"{self._advice} Where one has to sign in, say TOKEN=… too."
            )
        return client

    def _check_there_is_a_way(self) -> None:
        if self._host or _ACCOUNT.exists():
            return
        named = os.environ.get("KUBECONFIG", "")
        paths = [Path(path) for path in named.split(os.pathsep) if path] or [Path.home() / ".kube" / "config"]
        if not any(path.is_file() for path in paths):
            raise KfpError(
                "Where is Kubeflow Pipelines? Expected HOST=…, or a kubeconfig that leads to its cluster; found "
                f"neither HOST nor {' nor '.join(map(str, paths))}. {self._advice}"
            )

    @property
    def _host(self) -> str | None:
        # With a token KFP's client looks nowhere by itself.
        if not self.settings.host and self.settings.token and _ACCOUNT.exists():
            return f"http://ml-pipeline.{self._found_in}.svc.cluster.local:8888"
        return self.settings.host or os.environ.get("KF_PIPELINES_ENDPOINT") or None

    @property
    def _found_in(self) -> str:
        return self.settings.kfp_namespace

    def _newest_runs(self, what: str, asked: str) -> "list[V2beta1Run]":
        """One page of the runs that a filter asks for, the last one first."""
        answer = self._do(
            what,
            lambda: self._client.list_runs(
                page_size=_PAGE, sort_by="created_at desc", namespace=self.user_namespace, filter=asked
            ),
        )
        return answer.runs or []

    def _pages(self, what: str, items: str, fetch: Callable[[str], Any]) -> list[Any]:
        found, page = list[Any](), ""
        while True:
            answer = self._do(what, partial(fetch, page))
            found += getattr(answer, items) or []
            page = answer.next_page_token or ""
            if not page:
                return found

    def _do(self, what: str, action: Callable[[], Answer]) -> Answer:
        with self._explained(what), quiet():
            return action()

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        import kfp_server_api

        try:
            yield
        except kfp_server_api.ApiException as error:
            raise KfpError(self._refused(what, error)) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise KfpError(f"Could not {what} at {self._place}: {network_cause(error)}. {self._advice}") from error
        except (ValueError, TypeError) as error:
            raise KfpError(
                f"Could not {what} at {self._place}: what answers there is not Kubeflow Pipelines 2 ({error}). "
                f"{self._advice}"
            ) from error

    @property
    def _place(self) -> str:
        return self.settings.host or "the Service ml-pipeline of the cluster"

    @property
    def _advice(self) -> str:
        if self.settings.host:
            return "Check HOST: the address that shows the UI in a browser, such as http://localhost:8080."
        forward = _FORWARD.format(namespace=self.settings.kfp_namespace)
        return f"Name it: run `{forward}` beside this and say HOST=http://localhost:8080."

    def _refused(self, what: str, error: "ApiException") -> str:
        said = service_message(error)
        start = f"Could not {what} at {self._place}"
        if error.status == _UNAUTHORISED:
            have = "the token was not accepted" if self.settings.token else "it wants a token"
            return f"{start}: {have} (401{said}). Say TOKEN=…, or TOKEN=/path/of/a/file that holds one."
        if error.status == _FORBIDDEN:
            return (
                f"{start}: this user is not allowed to (403{said}). "
                f"Check NAMESPACE (now {self.settings.namespace}) and the user's rights there."
            )
        if error.status == _NOT_FOUND and 'services "ml-pipeline" not found' in said:
            return (
                f"Could not {what}: there is no Service ml-pipeline in the namespace {self.settings.kfp_namespace} of "
                "the cluster. Install Kubeflow Pipelines, or say where it is: KFP_NAMESPACE=…, or HOST=http://localhost:8080."
            )
        if error.status == _NOT_FOUND:
            return f"{start}: there is no such thing (404{said}). Check the name or id. {self._advice}"
        return f"{start}: it answered {error.status or 'nothing'}{said}."


def _equals(key: str, value: str) -> str:
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "stringValue": value}]})
