"""New objects at the source, which ask for a retraining besides the schedule and the evidence of windows.

The places are looked at with each look at the model; what is there is known by keys, sizes and ETags. The first look
only notes what there is. From then on each other set of objects asks for one retraining, under the same rules as any:
one at a time, cool-down, budget. A set that has led to one does not lead to another, whatever came of it.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from components.shared.decisions.records import Record, decisions_of
from components.shared.sources.s3 import S3Source


@dataclass(frozen=True, slots=True)
class Objects:
    """What is at the places.

    Attributes:
        model: Name of the model.
        version: Its champion.
        digest: Of keys, sizes and ETags.
        count: How many objects.
        places: The places, in words.
    """

    model: str
    version: str
    digest: str
    count: int
    places: str

    def are_new(self, past: Sequence[Record]) -> bool:
        """Whether they are others than those of the first look, and have not led to a retraining yet.

        Args:
            past: The audit log, the oldest record first.
        """
        noted = [one.decision for one in decisions_of(past) if one.decision.objects]
        taken = [decision.objects for decision in noted if decision.action == "retrain"]
        return bool(noted) and self.digest != (taken[-1] if taken else noted[0].objects)


def objects_at(places: Sequence[str], *, model: str, version: str) -> Objects:
    """Look at the places.

    Args:
        places: Such as `s3://bucket/flights/*.parquet`, as in a source; of a pattern counts all that begins as it does.
        model: Name of the model.
        version: Its champion.

    Raises:
        StoreError: The object store cannot be reached or refuses.
    """
    found = [S3Source(path=place).objects() for place in places]
    content = json.dumps([[tuple(one) for one in objects] for objects in found])
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    return Objects(model, version, digest, sum(map(len, found)), ", ".join(places))
