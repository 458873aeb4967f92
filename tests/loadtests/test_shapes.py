import pytest

from loadtests.shapes import SHAPES, Course

USERS, DURATION_S = 300, 60.0


def users_of(course: Course) -> list[int]:
    ticks = [course(float(second)) for second in range(int(DURATION_S))]
    return [tick[0] for tick in ticks if tick]


@pytest.mark.parametrize("name", SHAPES)
def test_every_course_reaches_everybody_and_ends(name: str) -> None:
    course = SHAPES[name](USERS, DURATION_S)
    assert max(users_of(course)) == USERS
    assert course(DURATION_S) is None


@pytest.mark.parametrize("name", SHAPES)
def test_devices_come_and_go_at_a_rate(name: str) -> None:
    course = SHAPES[name](USERS, DURATION_S)
    for second in range(int(DURATION_S)):
        tick = course(float(second))
        assert tick is not None
        assert tick[1] > 0


def test_a_ramp_never_falls() -> None:
    users = users_of(SHAPES["ramp"](USERS, DURATION_S))
    assert users == sorted(users)


def test_a_spike_comes_back_down() -> None:
    users = users_of(SHAPES["spike"](USERS, DURATION_S))
    assert users[0] == users[-1] == USERS // 10


def test_a_herd_goes_and_comes_back_within_a_second() -> None:
    course = SHAPES["herd"](USERS, DURATION_S)
    users = users_of(course)
    outage = users.index(0)
    back = users.index(USERS, outage)
    assert 0 < back - outage < DURATION_S / 4
    assert course(float(back)) == (USERS, float(USERS))
