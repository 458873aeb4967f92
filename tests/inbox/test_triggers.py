"""Messages that wait on the device for an event, that may be shown again, and that ask something."""

from typing import Any

import msgspec
import pytest

from gateway.inbox.model import TRIGGER_BYTES_MAX
from tests.builders import Json, a_content, a_journey, a_leaf, a_message, an_event, message_event
from tests.clients import Phone, Shop, code_of

TRIGGER: Json = {"event": "cart_left", "where": {"all": [a_leaf("amount", "gte", 50)]}}
SURVEY: Json = {
    "questions": [
        {"id": "stars", "kind": "rating", "label": "How was it?", "scale": 5},
        {"id": "why", "kind": "choice", "label": "Why?", "options": ["Price", "Quality"]},
        {"id": "more", "kind": "text", "label": "Anything else?"},
    ]
}


def a_survey(**fields: Any) -> Json:
    return a_content(layout="survey", survey={**SURVEY, **fields})


def asking(**question: Any) -> Json:
    """A survey of one question."""
    return a_survey(questions=[{"id": "q", "kind": "text", "label": "?", **question}])


async def send(shop: Shop, phone: Phone, **fields: Any) -> str:
    await shop.gateway.settled()
    body = a_message({"profile_id": phone.profile_id}, **fields)
    sent: str = (await shop.server.post("/admin/v1/messages", body))["message_id"]
    await shop.gateway.settled()
    return sent


# --- what devices get ------------------------------------------------------------------------


@pytest.mark.parametrize("trigger", [TRIGGER, {"event": "cart_left"}], ids=["rule", "name"])
async def test_message_brings_its_trigger_and_display_to_the_device(
    worker: None, shop: Shop, phone: Phone, trigger: Json
) -> None:
    display = {
        "once_per": "device",
        "limit": {"count": 3, "period_s": 86_400},
        "ignores_caps": True,
    }
    await send(shop, phone, trigger=trigger, display=display)
    (message,) = await phone.messages()
    assert (message["trigger"], message["display"]) == (trigger, display)


async def test_message_of_a_journey_may_wait_for_another_event(
    worker: None, shop: Shop, phone: Phone
) -> None:
    display = {"once_per": "person", "limit": {"count": 2, "period_s": None}}
    template = {"trigger": TRIGGER, "display": display, "content": a_survey()}
    journey = await shop.server.post("/admin/v1/journeys", a_journey(message=template))
    assert journey["draft"]["message"]["trigger"] == TRIGGER
    await phone.upload(an_event())
    await shop.gateway.settled()
    (message,) = await phone.messages()
    assert (message["trigger"], message["display"]) == (TRIGGER, display)
    assert message["content"]["survey"] == SURVEY
    (config,) = [(await phone.ask("GET", "/v1/config")).json()]
    assert config["trigger_events"] == ["purchase"], "the device itself waits for the other"


async def test_message_without_any_of_it_says_nothing_of_it(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await send(shop, phone)
    (message,) = await phone.messages()
    assert "trigger" not in message
    assert message["display"] == {"once_per": "person"}
    assert "survey" not in message["content"]


# --- shown more than once --------------------------------------------------------------------


async def test_message_that_may_be_shown_again_leaves_the_other_devices_only(
    worker: None, shop: Shop, phone: Phone
) -> None:
    tablet = await shop.new_phone(form_factor="tablet")
    for device in (phone, tablet):
        await device.login("u1")
    sent = await send(shop, phone, display={"limit": {"count": 2}})
    for device in (phone, tablet):
        assert len(await device.messages()) == 1
    await phone.upload(message_event("message_shown", sent), message_event("message_clicked", sent))
    await shop.gateway.settled()
    assert (await tablet.receive())["withdrawn"] == [sent]
    assert (await phone.receive())["withdrawn"] == []
    phone.cursor = tablet.cursor = ""
    assert [len(await device.messages()) for device in (phone, tablet)] == [1, 0]
    await phone.upload(message_event("message_shown", sent))
    await shop.gateway.settled()
    assert (await phone.receive())["withdrawn"] == [], "its person reads it"
    assert await phone.messages() == []
    phone.cursor = ""
    assert await phone.messages() == []


async def test_showings_are_counted_on_across_a_login(
    worker: None, shop: Shop, phone: Phone
) -> None:
    sent = await send(shop, phone, display={"limit": {"count": 2}})
    await phone.upload(message_event("message_shown", sent))
    await phone.login("u1")
    await shop.gateway.settled()
    assert [message["id"] for message in await phone.messages()] == [sent]
    await phone.upload(message_event("message_shown", sent))
    await shop.gateway.settled()
    phone.cursor = ""
    assert await phone.messages() == []


async def test_answered_survey_is_not_asked_again(worker: None, shop: Shop, phone: Phone) -> None:
    sent = await send(shop, phone, content=a_survey())
    (message,) = await phone.messages()
    assert message["content"]["survey"] == SURVEY
    answers = {"stars": 4, "why": "Price", "more": "–"}
    await phone.upload(message_event("survey_answered", sent, answers=answers))
    await shop.gateway.settled()
    phone.cursor = ""
    assert await phone.messages() == []


# --- what makes no sense ---------------------------------------------------------------------

WRONG: dict[str, tuple[Json, str]] = {
    "a trigger without an event": ({"trigger": {}}, "invalid_body"),
    "a trigger of an empty name": ({"trigger": {"event": ""}}, "invalid_body"),
    "a trigger of a long name": ({"trigger": {"event": "e" * 129}}, "invalid_body"),
    "a rule that is a list": ({"trigger": {"event": "e", "where": []}}, "invalid_body"),
    "no rule": ({"trigger": {"event": "e", "where": {}}}, "invalid_rule"),
    "an unknown operator": (
        {"trigger": {"event": "e", "where": a_leaf("p", "like", "x")}},
        "invalid_rule",
    ),
    "a showing of none": ({"display": {"limit": {"count": 0}}}, "invalid_body"),
    "too many showings": ({"display": {"limit": {"count": 1_001}}}, "invalid_body"),
    "a limit without a count": ({"display": {"limit": {"period_s": 60}}}, "invalid_body"),
    "a period of nothing": ({"display": {"limit": {"count": 1, "period_s": 0}}}, "invalid_body"),
    "a survey that is none": ({"content": a_content(layout="survey")}, "invalid_body"),
    "a banner with a survey": (
        {"content": a_content(layout="banner", survey=SURVEY)},
        "invalid_body",
    ),
    "a survey without questions": ({"content": a_survey(questions=[])}, "invalid_body"),
    "a question without an id": ({"content": asking(id="")}, "invalid_body"),
    "a question that asks too much": ({"content": asking(label="?" * 1_025)}, "invalid_body"),
    "a question that asks nothing": ({"content": asking(label="")}, "invalid_body"),
    "an unknown kind": ({"content": asking(kind="date")}, "invalid_body"),
    "two questions of one id": (
        {"content": a_survey(questions=SURVEY["questions"][:1] * 2)},
        "invalid_body",
    ),
    "a choice of nothing": ({"content": asking(kind="choice")}, "invalid_body"),
    "a choice of one": ({"content": asking(kind="choice", options=["a"])}, "invalid_body"),
    "a choice of the same": ({"content": asking(kind="choice", options=["a"] * 2)}, "invalid_body"),
    "a text with options": ({"content": asking(options=["a", "b"])}, "invalid_body"),
    "a text with a scale": ({"content": asking(scale=5)}, "invalid_body"),
    "a scale of one": ({"content": asking(kind="rating", scale=1)}, "invalid_body"),
    "a scale of eleven": ({"content": asking(kind="rating", scale=11)}, "invalid_body"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_message_that_makes_no_sense_is_refused_with_the_place_of_the_fault(
    shop: Shop, case: str
) -> None:
    fields, code = WRONG[case]
    message = a_message({"user_id": "u"}, **fields)
    answers = [await shop.server.ask("POST", "/admin/v1/messages", json=message)]
    journey = a_journey(message=fields)
    answers.append(await shop.server.ask("POST", "/admin/v1/journeys", json=journey))
    assert [code_of(answer) for answer in answers] == [f"400 {code}"] * 2
    if code == "invalid_rule":
        assert answers[0].json()["detail"].startswith("trigger.where")
    assert await shop.server.get("/admin/v1/journeys") == []


@pytest.mark.parametrize("over, expected", [(-1, "202"), (0, "202"), (1, "400 invalid_body")])
async def test_trigger_has_a_limit_of_bytes(shop: Shop, over: int, expected: str) -> None:
    room = TRIGGER_BYTES_MAX - len(
        msgspec.json.encode({"event": "e", "where": a_leaf("p", "eq", "v")})
    )
    trigger = {"event": "e", "where": a_leaf("p", "eq", "v" * (1 + room + over))}
    message = a_message({"user_id": "u"}, trigger=trigger)
    assert code_of(await shop.server.ask("POST", "/admin/v1/messages", json=message)) == expected


@pytest.mark.parametrize(
    "count, expected", [(1, "202"), (19, "202"), (20, "202"), (21, "400 invalid_body")]
)
async def test_questions_and_options_have_a_limit(shop: Shop, count: int, expected: str) -> None:
    questions = [{"id": f"q{n}", "kind": "text", "label": "?"} for n in range(count)]
    options = [f"o{n}" for n in range(max(2, count))]
    for content in (
        a_survey(questions=questions),
        asking(kind="choice", options=options),
    ):
        message = a_message({"user_id": "u"}, content=content)
        answer = await shop.server.ask("POST", "/admin/v1/messages", json=message)
        assert code_of(answer) == expected


@pytest.mark.parametrize(
    "question",
    [
        {"label": "?" * 1_024},
        {"kind": "rating", "scale": 2},
        {"kind": "rating", "scale": 10},
        {"kind": "rating"},
        {"kind": "choice", "options": ["a", "A"]},
        {"id": "q" * 128},
    ],
    ids=str,
)
async def test_question_takes_what_is_just_within_its_limits(shop: Shop, question: Json) -> None:
    message = a_message({"user_id": "u"}, content=asking(**question))
    assert code_of(await shop.server.ask("POST", "/admin/v1/messages", json=message)) == "202"


async def test_showings_are_allowed_up_to_their_limit(shop: Shop) -> None:
    for count in (1, 999, 1_000):
        message = a_message({"user_id": "u"}, display={"limit": {"count": count, "period_s": 1}})
        assert code_of(await shop.server.ask("POST", "/admin/v1/messages", json=message)) == "202"
