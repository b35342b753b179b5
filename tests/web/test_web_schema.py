"""What a program sends is checked name by name: nothing misspelt is left out in silence."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gateway.web.programs.operations import OPERATIONS, Operation
from gateway.web.programs.schema import Unfit, check, read_query

VALUES: list[Any] = [
    *("", "x", "x" * 200, "x" * 201, "x" * 4001, "2026-11-24", "2026-11-24 ", "in", "viewer", "cleaning"),
    *(0, 1, -1, 1.5, 10**400, 1e300, float("inf"), float("nan"), True, False, None),
    *([], [1], ["x"], ["x"] * 101, [{}], [{"reference": 0.0}], {}, {"x": 1}),
]


def fits(value: Any, schema: Any) -> bool:
    try:
        check(value, schema)
    except Unfit:
        return False
    return True


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.order)
def test_it_says_what_an_independent_validator_says(operation: Operation) -> None:
    schema = operation.schema
    Draft202012Validator.check_schema(schema)
    judge = Draft202012Validator(schema)
    right = dict.fromkeys(operation.needs, "x")
    for name in (*schema["properties"], "unknown"):
        for value in VALUES:
            sent = {**right, name: value}
            finite = not (isinstance(value, float | int) and abs(value) > 1e301) and value == value
            assert fits(sent, schema) == (judge.is_valid(sent) and finite), sent
    for missing in operation.needs:
        assert not fits({name: "x" for name in right if name != missing}, schema)


def test_the_words_name_the_place() -> None:
    schema = next(operation.schema for operation in OPERATIONS if operation.order == "alarm.shelve")
    for sent, words in (
        ({"alarm": "a"}, "for_s is missing"),
        ({"alarm": "a", "for_s": 0}, "for_s is out of its range"),
        ({"alarm": "a", "for_s": "1"}, "for_s is no number"),
        ({"alarm": "a", "for_s": 1, "txt": ""}, "'txt' is not known here; known are: alarm, for_s, text"),
    ):
        with pytest.raises(Unfit, match=words):
            check(sent, schema)


def test_a_query_has_the_types_of_its_schema() -> None:
    schema = {"type": "object", "properties": {"all": {"type": "boolean"}, "n": {"type": "number"}}}
    assert read_query({"all": "true", "n": "1.5"}, schema) == {"all": True, "n": 1.5}
    assert read_query({"all": "yes", "n": "x", "m": "1"}, schema) == {"all": "yes", "n": "x", "m": "1"}
    assert json.dumps(read_query({"n": "nan"}, schema)) == '{"n": NaN}', "refused by the check"
