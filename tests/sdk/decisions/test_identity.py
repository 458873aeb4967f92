"""Laws of identity; its cases are the vector `identity_machine`."""

from hypothesis import given
from hypothesis import strategies as st

from zuruf.decisions.identity import Identity, Waiting, placed, restored

users = st.sampled_from(["u1", "u2", "u3"])
calls = st.lists(st.none() | st.tuples(users, st.booleans()), max_size=12)


@given(calls)
def test_operations_lead_to_the_person_of_the_last_call(
    calls: list[tuple[str, bool] | None],
) -> None:
    """A queue that only waits: whatever is called, its operations end with the right person."""
    waiting = Waiting(None)
    person: str | None = None
    for call in calls:
        user_id, has_proof = call or (None, False)
        kind = placed(
            waiting,
            None,
            "reset" if call is None else "identify",
            user_id,
            has_proof=has_proof,
        )
        if kind.action == "append":
            # A login of somebody anonymous merges, every other operation begins with somebody else.
            assert kind.is_another_person is not (kind.operation == "identify")
            assert (kind.operation == "identify") is (person is None and call is not None)
            person = user_id
            logins = waiting.logins if user_id is None else (*waiting.logins, user_id)
            waiting = Waiting(user_id, logins)
        assert person == user_id


@given(users, users, st.booleans())
def test_a_refused_login_never_blocks_another_person(
    refused: str, user_id: str, has_proof: bool
) -> None:
    waiting = Waiting(refused, (refused,), is_refused=True)
    found = placed(waiting, None, "identify", user_id, has_proof=has_proof)
    assert found.gives_up_refused is (user_id != refused)
    assert found.action == ("replace" if user_id == refused else "append")


def test_what_is_kept_is_restored_and_anything_else_begins_anew() -> None:
    identity = Identity("i1", "d1", "p1", "t1", "u1")
    assert restored(identity.kept(), "i2") == identity
    assert restored({**identity.kept(), "new": 7}, "i2") == identity
    broken_ones: tuple[object, ...] = (None, [], "x", {}, {"install_id": 7})
    for broken in broken_ones:
        assert restored(broken, "i2") == Identity("i2")
