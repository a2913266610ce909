"""How filters on payloads are written, and what is refused."""

import pytest

from analytics_api.payload_filters import MAX_FILTERS, read_filter_tree, read_payload_filters
from analytics_api.queries.conditions import AllOf, AnyOf, Comparison, Operand, Operator
from analytics_api.queries.payload_path import keys_of
from shared.problems import Problem


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("payload.a", ["a"]),
        ("payload.user.id", ["user", "id"]),
        ("payload.tags.1", ["tags", "1"]),
        ('payload."a.b".c', ["a.b", "c"]),
        ('payload.c."a.b"', ["c", "a.b"]),
        ('payload."say ""hi"""', ['say "hi"']),
        ('payload.""', [""]),
        ('payload.odd "key\\', ['odd "key\\']),
        ("payload.line\nbreak", ["line\nbreak"]),
    ],
)
def test_a_path_is_keys_between_dots_and_quotes_keep_dots(name: str, keys: list[str]) -> None:
    assert keys_of(name) == keys


@pytest.mark.parametrize(
    "name",
    ["payload", "payload.", "payload..a", "payload.a.", 'payload."a', 'payload."a"b', "a", "payload.a\x00",
     "payload.\ud800", "payload." + "a." * 32 + "b", "payload." + "a" * 1024],
)  # fmt: skip
def test_what_is_no_path_is_refused_without_being_shown(name: str) -> None:
    with pytest.raises(ValueError, match=r"must|part of the path|holds|deep|more than") as refused:
        keys_of(name)
    assert name not in str(refused.value) or name in ("payload", "a", "payload.")


def test_the_last_part_is_an_operator_unless_it_is_quoted_or_alone() -> None:
    read = read_payload_filters(
        [
            ("payload.a.gt", "5"),
            ('payload.a."gt"', "5"),
            ("payload.gt", "5"),
            ("payload.a.in", '1,"b,c"'),
            ("from", "x"),
        ]
    )
    five = (Operand(text="5", json="5"),)
    assert read == AllOf(
        (
            Comparison(("a",), Operator.GREATER, (Operand(json="5"),)),
            Comparison(("a", "gt"), Operator.EQUAL, five),
            Comparison(("gt",), Operator.EQUAL, five),
            Comparison(("a",), Operator.IN, (Operand(text="1", json="1"), Operand(text="b,c"))),
        )
    )


def test_a_tree_is_read_with_its_and_and_or() -> None:
    tree = {"payload.a": True, "or": [{"payload.b.exists": False}, {"payload.c": 1.5}]}
    assert read_filter_tree(tree, "/body/filter") == AllOf(
        (
            Comparison(("a",), Operator.EQUAL, (Operand(json="true"),)),
            AnyOf(
                (
                    Comparison(("b",), Operator.EXISTS, wanted=False),
                    Comparison(("c",), Operator.EQUAL, (Operand(json="1.5"),)),
                )
            ),
        )
    )


def test_there_may_be_so_many_comparisons_and_no_more() -> None:
    leaves = [{"payload.a": place} for place in range(MAX_FILTERS + 1)]
    assert read_filter_tree({"or": leaves[1:]}, "/body")
    with pytest.raises(Problem, match="more than 32 comparisons"):
        read_filter_tree({"or": leaves}, "/body")
