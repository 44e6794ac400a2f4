"""The sentence that a mistaken choice is answered with."""

import pytest

from vdm_jax.base.errors import UserError, choose, suggestion

SCHEDULES = {"linear": 1, "cosine": 2, "constant": 3}


def test_a_known_name_gives_its_value():
    assert choose("schedule", "cosine", SCHEDULES) == 2


def test_the_sentence_names_the_value_the_choices_and_the_nearest():
    with pytest.raises(UserError) as caught:
        choose("schedule", "cosin", SCHEDULES)
    expected = "schedule='cosin'; expected one of ['constant', 'cosine', 'linear']; did you mean 'cosine'?"
    assert str(caught.value) == expected


def test_nothing_is_suggested_where_nothing_comes_near():
    assert suggestion("zzz", SCHEDULES) == ""
    with pytest.raises(UserError, match=r"'linear'\]$"):
        choose("schedule", "zzz", SCHEDULES)


def test_choices_may_be_any_iterable_and_the_nearest_wins():
    assert suggestion("train.num_step", iter(["train.seed", "train.num_steps", "sample.num_steps"])) == (
        "; did you mean 'train.num_steps'?"
    )


def test_a_mistake_of_the_user_is_a_value_error():
    assert issubclass(UserError, ValueError)
