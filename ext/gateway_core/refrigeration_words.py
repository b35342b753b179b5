"""What the bank's numbers mean: names, units and the account of one channel."""

from typing import Any

LABELS = {1: "door", 2: "defrost", 3: "other", 4: "moved"}
FINDINGS = dict.fromkeys(["no-return","defrost-missing","defrosts-frequent","door-open","short-cycling","unsatisfied","drift","stuck","jump","faded","icing","hunting"])


def explained(kind: str, s: dict[str, float], active: int) -> dict[str, Any]:
    return dict(s)
