"""New objects at the source, which ask for a retraining besides the schedule and the evidence of windows.

The places are looked at with each look at the model; what is there is known by keys, sizes and ETags. The first look
at a list of places only notes what there is. From then on each other set of objects asks for one retraining, under the
same rules as any: one at a time, cool-down, budget. A set that has led to one does not lead to another, whatever came
of it; what a dry run would have done counts for dry runs alone.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from components.shared.config.monitoring_policy import PolicyMode
from components.shared.decisions.records import Decision, Record, decisions_of
from components.shared.sources.s3 import S3Source


@dataclass(frozen=True, slots=True)
class Objects:
    """What is at the places.

    Attributes:
        model: Name of the model.
        version: Its champion.
        digest: Of keys, sizes and ETags.
        count: How many objects.
        places: The places.
    """

    model: str
    version: str
    digest: str
    count: int
    places: tuple[str, ...]

    # Example: the first look finds the objects A, which are noted only. B is new and asks for a retraining; once there
    # was one for it, it is new no more. C is new again; A, should it come back, is not.
    def are_new(self, past: Sequence[Record], mode: PolicyMode) -> bool:
        """Whether these objects differ from those of the first look and have not led to a retraining yet.

        Args:
            past: The audit log, the oldest record first.
            mode: Mode of the policy. A retraining that was really done counts in every mode; one that a dry run only
                would have done counts for dry runs alone.
        """
        noted = [one.decision for one in decisions_of(past) if one.decision.objects and self._are_of(one.decision)]
        taken = {one.objects for one in noted if one.retrains or (one.action == "retrain" and one.mode == mode)}
        return bool(noted) and self.digest not in {noted[0].objects, *taken}

    def _are_of(self, decision: Decision) -> bool:
        """Whether a decision looked at the same places; decisions about other places do not tell what is new here."""
        return tuple(decision.policy.get("new_objects", ())) == self.places


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
    return Objects(model, version, digest, sum(map(len, found)), tuple(places))
