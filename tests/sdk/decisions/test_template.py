"""Laws of templates, and that they are a subset of Jinja; their cases are the vector `template_render`."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from zuruf.decisions.template import rendered, rendered_content

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
plain = texts.filter(lambda text: "{" not in text and "}" not in text)
names = st.sampled_from(["a", "b", "c"])
values = st.none() | texts | st.integers(-(10**12), 10**12) | st.booleans()
quoted = st.text(st.sampled_from("ab {}|()'\\\"\n\t"), max_size=6).map(
    lambda text: (
        text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    )
)
expressions = st.builds("{{{{ event.{} }}}}".format, names) | st.builds(
    '{{{{ event.{}|default("{}") }}}}'.format, names, quoted
)
templates = st.lists(plain | expressions, max_size=5).map("".join)


@given(templates, st.dictionaries(names, texts | st.integers(), max_size=3))
def test_jinja_renders_the_same(template: str, props: dict[str, Any]) -> None:
    jinja = Environment(keep_trailing_newline=True, newline_sequence="\n")  # noqa: S701 - no HTML
    if "\r" not in template:
        assert rendered(template, props) == jinja.from_string(template).render(event=props)


@given(texts, st.dictionaries(names, values))
def test_every_text_renders(template: str, props: dict[str, Any]) -> None:
    result = rendered(template, props)
    if "{{" not in template:
        assert result == template


@given(plain, st.dictionaries(names, texts))
def test_what_is_put_in_comes_out_unread(around: str, props: dict[str, str]) -> None:
    result = rendered(around + "{{ event.a }}" + around, props)
    assert result == around + props.get("a", "") + around


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_as_the_same(number: float) -> None:
    text = rendered("{{ event.a }}", {"a": number})
    assert float(text) == number
    if 1e-300 < abs(number) < 1e15:
        assert "e" not in text


def test_only_what_people_read_is_rendered() -> None:
    text = "{{ event.name }}"
    content = {
        "layout": text,
        "title": text,
        "body": text,
        "image": text,
        "buttons": [{"id": text, "label": text, "action": {"type": "open_url", "url": text}}, 7],
        "survey": {"questions": [{"id": text, "kind": "text", "label": text}]},
        "theme": {"title": text},
    }
    result = rendered_content(content, {"name": "Ada"})
    assert result == {
        "layout": text,
        "title": "Ada",
        "body": "Ada",
        "image": text,
        "buttons": [{"id": text, "label": "Ada", "action": {"type": "open_url", "url": text}}, 7],
        "survey": {"questions": [{"id": text, "kind": "text", "label": "Ada"}]},
        "theme": {"title": text},
    }


def test_content_of_another_shape_is_left_as_it_is() -> None:
    content = {"title": 7, "buttons": "none", "survey": [], "questions": [{"label": None}, None]}
    assert rendered_content(content, {}) == content
