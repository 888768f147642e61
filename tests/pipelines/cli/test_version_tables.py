import io

from rich.console import Console

from components.shared.package.model_package import version_prefix
from components.shared.registry.registry import Registry
from pipelines.cli.version_tables import print_versions


def shown(registry: Registry) -> list[str]:
    output = io.StringIO()
    print_versions(registry, Console(file=output, width=200, highlight=False))
    return [" ".join(line.split()) for line in output.getvalue().splitlines() if line.strip()]


def test_versions_and_history_are_listed(store):
    registry = Registry(store, "demo")
    assert shown(registry)[0].startswith("No version of 'demo' is stored in s3://")
    for version in ("aaa", "bbb", "ccc"):
        store.put_bytes(version_prefix("demo", version) + "manifest.json", b"{}")
    assert shown(registry)[0] == "demo · 3 versions, 0 of them served; there is no champion"
    first = registry.promote("aaa", expected=None, run="run-1", why="passed the gate: 6 of 6 checks hold")
    second = registry.promote("bbb", expected=first, run="run-2", why="forced: 5 of 6 checks hold")
    registry.promote("aaa", expected=second, action="rolled back", run="", why="wrong on Mondays")
    lines = shown(registry)
    assert lines[0] == "demo · 3 versions, 2 of them served; the champion is aaa"
    states = {line.split()[0]: line for line in lines[2:5]}
    assert states["aaa"].split()[1] == "champion"
    assert states["aaa"].endswith("– wrong on Mondays")
    assert states["bbb"].endswith("run-2 forced: 5 of 6 checks hold")
    assert states["ccc"].split()[1:4] == ["stored,", "never", "served"]
    history = lines[lines.index("History, the newest first") + 2 :]
    assert [line.split(maxsplit=2)[2] for line in history] == [
        "rolled back aaa bbb – wrong on Mondays",
        "promoted bbb aaa run-2 forced: 5 of 6 checks hold",
        "promoted aaa – run-1 passed the gate: 6 of 6 checks hold",
    ]
