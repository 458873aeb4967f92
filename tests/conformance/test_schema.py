from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from msgspec import Meta, Struct

from tests.conformance.schema import Schemas


class Part(Struct):
    kind: Literal["a", "b"]
    size: Annotated[int, Meta(ge=0, le=10)] = 0


class Whole(Struct):
    id: UUID
    name: Annotated[str, Meta(min_length=1, max_length=3)]
    parts: Annotated[list[Part], Meta(max_length=2)] = []
    ratio: float | None = None
    code: Annotated[str, Meta(pattern="^[0-9]+$")] = "0"
    more: dict[Annotated[str, Meta(max_length=2)], int | str] = {}


_, COMPONENTS = msgspec.json.schema_components([Whole])
OPEN, CLOSED = Schemas(COMPONENTS), Schemas(COMPONENTS, is_closed=True)
GOOD = {"id": "019aa7b1-3580-726f-830e-08960cb9439d", "name": "abc"}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"parts": [{"kind": "a"}, {"kind": "b", "size": 10}]},
        {"ratio": None},
        {"ratio": 1},
        {"ratio": 1.5},
        {"code": "007"},
        {"more": {"ab": 1, "c": "d"}},
    ],
)
def test_what_the_type_reads_has_no_faults(more: dict[str, Any]) -> None:
    body = GOOD | more
    msgspec.convert(body, Whole)
    assert CLOSED.faults("Whole", body) == []


@pytest.mark.parametrize(
    "more, place",
    [
        ({"id": "no uuid"}, "body.id"),
        ({"name": ""}, "body.name"),
        ({"name": "abcd"}, "body.name"),
        ({"name": None}, "body.name"),
        ({"parts": [{"kind": "c"}]}, "body.parts[0].kind"),
        ({"parts": [{}]}, "body.parts[0].kind"),
        ({"parts": [{"kind": "a"}, {"kind": "a", "size": 11}]}, "body.parts[1].size"),
        ({"parts": [{"kind": "a"}] * 3}, "body.parts"),
        ({"parts": {"kind": "a"}}, "body.parts"),
        ({"ratio": "much"}, "body.ratio"),
        ({"ratio": True}, "body.ratio"),
        ({"code": "x"}, "body.code"),
        ({"more": {"abc": 1}}, "body.more: the name 'abc'"),
        ({"more": {"ab": None}}, "body.more.ab"),
    ],
)
def test_what_the_type_refuses_has_a_fault_at_its_place(more: dict[str, Any], place: str) -> None:
    body = GOOD | more
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(body, Whole)
    (fault,) = OPEN.faults("Whole", body)
    assert fault.startswith(f"{place}: ")


def test_member_nobody_reads_is_a_fault_of_closed_types_only() -> None:
    body = GOOD | {"nmae": "typo"}
    assert OPEN.faults("Whole", body) == []
    assert CLOSED.faults("Whole", body) == ["body.nmae: no such member"]


def test_word_that_is_not_checked_is_not_passed_over() -> None:
    with pytest.raises(KeyError, match="multipleOf"):
        Schemas({"Odd": {"multipleOf": 2}}).faults("Odd", 4)
