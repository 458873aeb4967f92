"""In-app messages in the shop: what is decided about them, without a window."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from client_demo.shop.overlays.actions import (
    EVENT_NAME_MAX,
    Follow,
    Nothing,
    Open,
    Track,
    carry_out,
    deed_of,
)
from client_demo.shop.overlays.content import (
    BANNER_S_MAX,
    BANNER_S_MIN,
    LAYOUTS,
    banner_seconds,
    layout_of,
    look_of,
    present,
)
from client_demo.shop.overlays.stage import Showing, Stage
from client_demo.shop.overlays.survey import OPTIONS_MAX, TEXT_MAX, Asked, questions_of
from client_demo.shop.overlays.survey import Survey as Course
from client_demo.shop.theme import CONTRAST_MIN, DARK, LIGHT, Palette, contrast, rgba
from zuruf import Button, Content, DisplayDecision, Message, Question, Survey

OK = Button("ok", "OK", {"type": "dismiss"})
SHOP = Button("shop", "To the shop", {"type": "deep_link", "url": "shop://catalogue"})


class Told:
    """What the SDK was told about a message."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, object]] = []
        self.is_current = True

    def shown(self) -> None:
        self.reports.append(("shown", None))

    def clicked(self, button_id: str) -> None:
        self.reports.append(("clicked", button_id))

    def answered(self, answers: dict[str, object]) -> None:
        self.reports.append(("answered", answers))

    def dismissed(self, reason: str = "closed") -> None:
        self.reports.append(("dismissed", reason))

    def failed(self, reason: object = "failed") -> None:
        self.reports.append(("failed", reason))


def message(
    layout: str = "modal", *, id: str = "m1", priority: int = 50, created_at: int = 0
) -> Message:
    return Message(
        id=id,
        content=Content(layout, "Title", "Body", buttons=(OK, SHOP)),
        priority=priority,
        created_at=created_at,
    )


class Pressed:
    def __init__(self) -> None:
        self.buttons: list[str] = []

    def __call__(self, button: Button) -> None:
        self.buttons.append(button.id)


@pytest.fixture
def pressed() -> Pressed:
    return Pressed()


@pytest.fixture
def stage(pressed: Pressed) -> Stage:
    return Stage(pressed)


def on(stage: Stage) -> Showing:
    assert stage.overlay is not None
    return stage.overlay


# The stage


def test_a_message_is_reported_as_shown_when_it_is_visible_and_not_before(stage: Stage) -> None:
    told = Told()
    assert stage.offer(message(), told) is DisplayDecision.SHOW
    assert told.reports == []
    on(stage).became_visible()
    on(stage).became_visible()
    assert told.reports == [("shown", None)]


def test_one_overlay_at_a_time_and_the_next_one_waits(stage: Stage) -> None:
    first, second = Told(), Told()
    stage.offer(message(id="a"), first)
    assert stage.offer(message(id="b"), second) is DisplayDecision.DEFER
    on(stage).close("closed")
    assert stage.offer(message(id="b"), second) is DisplayDecision.DEFER, "it has not left yet"
    on(stage).left()
    assert stage.offer(message(id="b"), second) is DisplayDecision.SHOW


def test_a_message_that_is_over_already_is_discarded(stage: Stage) -> None:
    told = Told()
    told.is_current = False
    assert stage.offer(message(), told) is DisplayDecision.DISCARD
    assert stage.overlay is None


@pytest.mark.parametrize("reason", ["closed", "swiped", "timeout", "scrim"])
def test_a_person_closes_it_and_the_reason_is_reported_once(stage: Stage, reason: str) -> None:
    told = Told()
    stage.offer(message(), told)
    on(stage).became_visible()
    on(stage).close(reason)  # type: ignore[arg-type]
    on(stage).close("closed")
    assert told.reports == [("shown", None), ("dismissed", reason)]


@pytest.mark.parametrize("reason, read", [("closed", True), ("swiped", True), ("timeout", False)])
def test_what_a_person_closed_counts_as_read(stage: Stage, reason: str, *, read: bool) -> None:
    stage.offer(message(), Told())
    on(stage).became_visible()
    on(stage).close(reason)  # type: ignore[arg-type]
    assert on(stage).was_read is read


def test_back_closes_the_overlay_and_means_something_else_without_one(stage: Stage) -> None:
    told = Told()
    assert not stage.back()
    stage.offer(message(), told)
    assert stage.back()
    assert not stage.back(), "it is leaving already"
    assert told.reports == [("dismissed", "back")]


def test_a_button_is_reported_then_done_and_the_overlay_leaves(
    stage: Stage, pressed: Pressed
) -> None:
    told = Told()
    stage.offer(message(), told)
    showing = on(stage)
    showing.became_visible()
    showing.choose(SHOP)
    showing.choose(SHOP)
    assert told.reports == [("shown", None), ("clicked", "shop"), ("dismissed", "closed")]
    assert pressed.buttons == ["shop"]
    assert showing.state == "leaving"


def test_withdrawn_it_leaves_whoever_is_reading(stage: Stage) -> None:
    told = Told()
    stage.offer(message(), told)
    on(stage).became_visible()
    stage.ended("another")
    assert on(stage).state == "visible"
    stage.ended("m1")
    assert on(stage).state == "leaving"
    assert not on(stage).is_current


def test_what_cannot_be_drawn_is_reported_and_frees_the_stage(stage: Stage) -> None:
    told = Told()
    stage.offer(message(), told)
    on(stage).fail("no such picture")
    assert told.reports == [("failed", "no such picture")]
    assert stage.is_free


def test_inline_messages_need_no_stage_and_the_most_important_one_is_shown(stage: Stage) -> None:
    stage.offer(message(), Told())
    low, high, newer = Told(), Told(), Told()
    assert stage.offer(message("inline", id="low", priority=1), low) is DisplayDecision.SHOW
    assert stage.offer(message("inline", id="high", priority=9), high) is DisplayDecision.SHOW
    assert (
        stage.offer(message("inline", id="new", priority=9, created_at=5), newer)
        is DisplayDecision.SHOW
    )
    assert stage.inline is not None
    assert stage.inline.message.id == "new"
    stage.inline.close("closed")
    assert stage.inline is not None
    assert stage.inline.message.id == "high"
    assert newer.reports == [("dismissed", "closed")]


def test_a_message_of_the_inbox_is_opened_without_a_report(stage: Stage) -> None:
    assert stage.read_again(message())
    on(stage).became_visible()
    assert not stage.read_again(message(id="other"))
    on(stage).close("back")
    on(stage).left()
    assert stage.read_again(message(id="other"))


def test_after_logout_nothing_stays(stage: Stage) -> None:
    stage.offer(message(), Told())
    stage.offer(message("inline", id="card"), Told())
    stage.clear()
    assert on(stage).state == "leaving"
    assert stage.inline is None


# Content


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_the_protocol_is_known(layout: str) -> None:
    survey = Survey((Question("q", "text", "Why?"),))
    assert layout_of(Content(layout, survey=survey)) == layout


@pytest.mark.parametrize(
    "content", [Content("hologram"), Content("survey"), Content("survey", survey=Survey(()))]
)
def test_what_this_version_does_not_know_becomes_a_modal(content: Content) -> None:
    assert layout_of(content) == "modal"


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(
    "theme",
    [
        {},
        {"background": "#ffffff", "text": "#fefefe", "accent": "#ffffff"},
        {"background": "#000000", "text": "#000000", "accent": "#050505"},
        {"background": "#808080", "accent": "#818181"},
        {"background": "#2a1e4d", "accent": "#ffd166"},
        {"background": "red", "accent": 7, "text": None},
    ],
)
def test_whatever_a_theme_asks_for_can_be_read(palette: Palette, theme: dict[str, object]) -> None:
    look = look_of(Content("modal", theme=theme), palette)
    assert contrast(look.ink, look.ground) >= CONTRAST_MIN
    assert contrast(look.muted, look.ground) >= CONTRAST_MIN
    assert contrast(look.on_accent, look.accent) >= CONTRAST_MIN


def test_colours_that_can_be_read_are_followed() -> None:
    found = present(
        Message("m", Content("modal", theme={"background": "#2a1e4d", "accent": "#ffd166"})), LIGHT
    )
    assert found.look.ground == rgba("#2a1e4d")
    assert found.look.accent == rgba("#ffd166")
    assert found.is_own


def test_a_chat_without_buttons_leads_to_support() -> None:
    found = present(Message("m", Content("chat", "Jule")), LIGHT)
    assert [button.action["url"] for button in found.buttons] == ["shop://support?topic=chat"]


def test_buttons_without_a_label_are_left_out() -> None:
    found = present(Message("m", Content("modal", buttons=(Button("x", ""), OK))), LIGHT)
    assert [button.id for button in found.buttons] == ["ok"]


def test_the_apps_own_picture_is_preferred_to_one_of_the_network() -> None:
    content = Content("modal", image="https://example.org/a.png", theme={"art": "hero"})
    assert present(Message("m", content), LIGHT).image == "shop://art/hero"


def test_a_banner_stays_long_enough_to_be_read_within_limits() -> None:
    short = present(Message("m", Content("banner", "Hi")), LIGHT)
    long = present(Message("m", Content("banner", "Hi", "word " * 300)), LIGHT)
    assert BANNER_S_MIN < banner_seconds(short, is_tv=False) < BANNER_S_MIN + 1
    assert banner_seconds(short, is_tv=False) < banner_seconds(short, is_tv=True)
    assert banner_seconds(long, is_tv=False) == BANNER_S_MAX


# Actions


class Did:
    def __init__(self, *, opens: bool = True) -> None:
        self.done: list[tuple[str, object]] = []
        self._opens = opens

    def follow(self, url: str) -> bool:
        self.done.append(("follow", url))
        return True

    def open_url(self, url: str) -> bool:
        self.done.append(("open", url))
        return self._opens

    def track(self, name: str, props: Mapping[str, object]) -> object:
        self.done.append(("track", (name, dict(props))))
        return None

    def show_code(self, url: str) -> None:
        self.done.append(("code", url))


@pytest.mark.parametrize(
    "action, deed",
    [
        ({"type": "dismiss"}, Nothing()),
        ({"type": "deep_link", "url": "shop://basket"}, Follow("shop://basket")),
        ({"type": "open_url", "url": "https://example.org"}, Open("https://example.org")),
        ({"type": "event", "name": "liked", "props": {"a": 1}}, Track("liked", {"a": 1})),
        ({"type": "event", "name": "n" * EVENT_NAME_MAX}, Track("n" * EVENT_NAME_MAX, {})),
        ({"type": "event", "name": "n" * (EVENT_NAME_MAX + 1)}, Nothing()),
        ({"type": "event", "name": ""}, Nothing()),
        ({"type": "open_url", "url": "javascript:alert(1)"}, Nothing()),
        ({"type": "open_url", "url": "file:///etc/passwd"}, Nothing()),
        ({"type": "open_url", "url": "http://[broken"}, Nothing()),
        ({"type": "open_url"}, Nothing()),
        ({"type": "teleport", "url": "https://example.org"}, Nothing()),
        ({}, Nothing()),
    ],
)
def test_actions_are_read_and_what_is_not_understood_does_nothing(
    action: dict[str, object], deed: object
) -> None:
    assert deed_of(action) == deed


def test_a_television_shows_a_code_instead_of_opening_an_address() -> None:
    tv, phone, without_browser = Did(), Did(), Did(opens=False)
    carry_out(Open("https://example.org"), tv, is_tv=True)
    carry_out(Open("https://example.org"), phone, is_tv=False)
    carry_out(Open("https://example.org"), without_browser, is_tv=False)
    assert tv.done == [("code", "https://example.org")]
    assert phone.done == [("open", "https://example.org")]
    assert without_browser.done == [
        ("open", "https://example.org"),
        ("code", "https://example.org"),
    ]


# Surveys


def course() -> Course:
    return Course(
        (
            Asked("stars", "rating", "How was it?"),
            Asked("why", "choice", "Why?", ("price", "look")),
            Asked("words", "text", "Anything else?"),
        )
    )


def test_a_survey_goes_from_question_to_question_to_the_thanks() -> None:
    survey = course()
    assert not survey.go_on(), "a rating is wanted"
    survey.give(4)
    assert survey.go_on()
    survey.give("look")
    assert survey.go_on()
    assert survey.is_last
    assert survey.go_on(), "a text may stay empty"
    assert survey.is_done
    assert survey.answers == {"stars": 4, "why": "look"}


def test_one_can_go_back_until_the_answers_are_sent() -> None:
    survey = course()
    assert not survey.go_back()
    survey.give(2)
    survey.go_on()
    assert survey.go_back()
    assert survey.answer == 2
    for value in (5, "price"):
        survey.give(value)
        survey.go_on()
    survey.give("  fine  ")
    survey.go_on()
    assert survey.answers == {"stars": 5, "why": "price", "words": "fine"}
    assert not survey.go_back()


@pytest.mark.parametrize("value", [0, 6, "five"])
def test_an_answer_that_is_not_on_the_scale_is_refused(value: int | str) -> None:
    with pytest.raises(ValueError, match="scale"):
        course().give(value)


@pytest.mark.parametrize("length", [TEXT_MAX - 1, TEXT_MAX, TEXT_MAX + 1])
def test_a_text_is_kept_up_to_its_limit(length: int) -> None:
    survey = Course((Asked("words", "text", "Tell us"),))
    survey.give("x" * length)
    assert survey.answers == {"words": "x" * min(length, TEXT_MAX)}
    survey.give("   ")
    assert survey.answers == {}


def test_questions_this_version_cannot_ask_are_left_out() -> None:
    survey = Survey(
        (
            Question("a", "rating", "Stars", scale=10),
            Question("b", "drawing", "Draw it"),
            Question("c", "choice", "No options"),
            Question("d", "choice", "Many", tuple(f"o{n}" for n in range(OPTIONS_MAX + 1))),
            Question("", "text", "No id"),
        )
    )
    found = questions_of(Content("survey", survey=survey))
    assert [(one.id, one.scale) for one in found] == [("a", 10), ("d", 5)]
    assert len(found[1].options) == OPTIONS_MAX
    assert not found[0].has_stars
