"""Does inside a task's container what KFP's launcher does: fills in values of tasks before, then becomes the task.

Arguments: the executor's input as JSON, then the task's own command. A parameter's value may be
{"from": task, "key": name}: the value that the task put out.
"""

import json
import os
import sys
from pathlib import Path

given = json.loads(sys.argv[1])
values = given["inputs"]["parameterValues"]
for name, value in values.items():
    if isinstance(value, dict) and value.keys() == {"from", "key"}:
        put_out = json.loads(Path("/work", value["from"], "output.json").read_bytes())
        values[name] = put_out["parameterValues"][value["key"]]
for path in [
    given["outputs"]["outputFile"],
    *(one["uri"] for each in given["outputs"]["artifacts"].values() for one in each["artifacts"]),
]:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
command = [json.dumps(given) if part == "{{$}}" else part for part in sys.argv[2:]]
os.execvp(command[0], command)
