"""What keys of the object store are for; only `typing` is imported here, because the command line's help needs it."""

from typing import Literal

Purpose = Literal["stages", "serving", "monitoring", "artifacts"]
