"""The course of a survey: one question after the other, the answers, the thanks. No window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from client_demo.shop.observable import Signal
from zuruf import Content

Kind = Literal["rating", "choice", "text"]
Answer = int | str

STARS_MAX = 5
"""A rating with more steps than that is shown as numbers."""
SCALE_DEFAULT, SCALE_MIN, SCALE_MAX = 5, 2, 10
TEXT_MAX = 500
"""Characters of a text answer. The protocol takes 4,096 bytes a value, that is at least 1,000 characters."""
OPTIONS_MAX = 8


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as this app can ask it."""

    id: str
    kind: Kind
    label: str
    options: tuple[str, ...] = ()
    scale: int = SCALE_DEFAULT

    @property
    def has_stars(self) -> bool:
        return self.kind == "rating" and self.scale <= STARS_MAX

    @property
    def is_required(self) -> bool:
        """A text may stay empty; for the others there is the close button."""
        return self.kind != "text"


def questions_of(content: Content) -> tuple[Asked, ...]:
    """Read the questions that this app knows how to ask; others are left out."""
    if content.survey is None:
        return ()
    asked = (_read(one) for one in content.survey.questions)
    return tuple(one for one in asked if one is not None)


class Survey:
    """Where in the survey one is. After the last question come the thanks."""

    def __init__(self, questions: tuple[Asked, ...]) -> None:
        self.questions = questions
        self.index = 0
        self.answers: dict[str, Answer] = {}
        self.changed = Signal()

    @property
    def is_done(self) -> bool:
        return self.index >= len(self.questions)

    @property
    def question(self) -> Asked:
        """The question on the screen; IndexError after the last one."""
        return self.questions[self.index]

    @property
    def answer(self) -> Answer | None:
        """What was answered to the question on the screen."""
        return None if self.is_done else self.answers.get(self.question.id)

    @property
    def can_go_on(self) -> bool:
        return not self.is_done and (not self.question.is_required or self.answer is not None)

    @property
    def is_last(self) -> bool:
        return self.index == len(self.questions) - 1

    @property
    def progress(self) -> float:
        """The share of the questions that are behind, 0 to 1."""
        return self.index / len(self.questions) if self.questions else 1.0

    def give(self, value: Answer) -> None:
        """Note an answer to the question on the screen. ValueError when the question has no such answer."""
        question = self.question
        if question.kind == "rating" and not (
            isinstance(value, int) and 1 <= value <= question.scale
        ):
            raise ValueError(f"{value!r} is not on a scale of 1 to {question.scale}")
        if question.kind == "choice" and value not in question.options:
            raise ValueError(f"{value!r} is no option")
        if question.kind == "text":
            text = str(value)[:TEXT_MAX].strip()
            if not text:
                self.answers.pop(question.id, None)
            else:
                self.answers[question.id] = text
            return
        self.answers[question.id] = value
        self.changed()

    def go_on(self) -> bool:
        """Go to the next question, or to the thanks; False when an answer is missing."""
        if not self.can_go_on:
            return False
        self.index += 1
        self.changed()
        return True

    def go_back(self) -> bool:
        """Go to the question before; False at the first one, and after the last: that is sent."""
        if self.index == 0 or self.is_done:
            return False
        self.index -= 1
        self.changed()
        return True


def _read(question: object) -> Asked | None:
    """Read one question of the SDK; its type is not among the names an app may import."""
    id, label = getattr(question, "id", ""), getattr(question, "label", "")
    options = tuple(getattr(question, "options", ()))[:OPTIONS_MAX]
    if not id or not label:
        return None
    match getattr(question, "kind", ""):
        case "rating":
            scale = getattr(question, "scale", None) or SCALE_DEFAULT
            return Asked(id, "rating", label, scale=min(SCALE_MAX, max(SCALE_MIN, scale)))
        case "choice" if options:
            return Asked(id, "choice", label, options)
        case "text":
            return Asked(id, "text", label)
        case _:
            return None
