"""Extensions by name: those of impasto, of installed packages, and of a program."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from impasto.base import registry
from impasto.base.errors import RecipeError
from impasto.base.registry import Registry

GROUP = "impasto.tests"


def _not_negative(name: str, value: float) -> None:
    if value < 0:
        raise ValueError("it is negative")


@pytest.fixture
def numbers(monkeypatch):
    """Numbers of the module math, and of packages of which some can't be used."""
    installed = [
        EntryPoint("tau", "math:tau", GROUP),
        EntryPoint("pi", "math:nan", GROUP),
        EntryPoint("gone", "no_such_package:x", GROUP),
        EntryPoint("odd", "test_registry:NEGATIVE", GROUP),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: installed)
    return Registry("number", GROUP, {"pi": "math:pi"}, _not_negative)


NEGATIVE = -1.0


def test_names_are_known_without_an_import(numbers):
    assert numbers.names() == ("pi", "tau", "gone", "odd")
    assert not numbers.loaded


def test_a_built_in_one_is_not_replaced(numbers):
    assert numbers["pi"] == pytest.approx(3.14159, abs=1e-5)
    assert numbers["tau"] == 2 * numbers["pi"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("gone", "the number gone of no_such_package:x can't be used: ModuleNotFoundError"),
        (
            "odd",
            "the number odd of test_registry:NEGATIVE can't be used: ValueError: it is negative",
        ),
        ("phi", "there is no number 'phi'; did you mean 'pi'"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(name, sentence, numbers, caplog):
    with pytest.raises(RecipeError, match=sentence):
        numbers[name]
    assert not [record for record in caplog.records if "can't be" in record.message]


def test_what_cannot_be_used_is_left_out_and_warned_of_once(numbers, caplog):
    for _ in range(2):
        assert [name for name, _ in numbers.usable()] == ["pi", "tau"]
    assert [record.levelname for record in caplog.records if "can't be" in record.message] == [
        "WARNING", "WARNING",
    ]  # fmt: skip


def test_a_program_registers_its_own(numbers):
    numbers.register("half", 0.5)
    assert numbers["half"] == 0.5
    assert "half" in numbers


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("pi", 3.0, "there is a number pi already; choose another name"),
        ("tau", 6.0, "there is a number tau already"),
        ("a number", 1.0, "a number has a name like a_new_one, not 'a number'"),
        ("Half", 0.5, "a number has a name like a_new_one"),
        ("less", -1.0, "it is negative"),
    ],
)
def test_names_are_free_and_plain(name, value, sentence, numbers):
    with pytest.raises(ValueError, match=sentence):
        numbers.register(name, value)
