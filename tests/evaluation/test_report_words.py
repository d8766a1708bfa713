"""Renderers and wording: escaping, alignment, durations."""

import doctest
import re
from pathlib import Path

import pytest

import eimf_local.evaluation.report_markdown as markdown
import eimf_local.evaluation.report_words as words
from eimf_local.evaluation import report_html
from eimf_local.evaluation.report_blocks import Column, Figure, Heading, Items, Paragraph, Row, Table


@pytest.mark.parametrize("module", [markdown, words])
def test_docstring_examples_hold(module):
    result = doctest.testmod(module)
    assert result.attempted >= 1
    assert result.failed == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# 10 envelopes", r"\# 10 envelopes"),
        ("- x", r"\- x"),
        ("1. abc", r"1\. abc"),
        ("> q", r"\> q"),
        ("<|im_end|>", r"<\|im_end\|>"),
        ("<script>", r"\<script>"),
        ("&lt; R&D", r"\&lt; R&D"),
        ("a\\", "a\\\\"),
        ("_a_ b_c", r"\_a\_ b_c"),
        ("[0.1, 0.2]", "[0.1, 0.2]"),
        ("[a](b) [c]: d", r"[a\](b) [c\]: d"),
        ("`code` $5", r"\`code\` \$5"),
        ("two\nlines\x00", "two lines"),
    ],
)
def test_markdown_takes_text_for_what_it_is(text, expected):
    assert markdown.escape(text) == expected


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ("user-split", "not comparable under user-split, only relative gains are"),
        ("global-time", "not comparable under global-time, only relative gains are"),
        ("item-order", "may be compared"),
    ],
)
def test_only_item_order_makes_absolute_values_comparable(split, said):
    sentence = words.comparable(split)
    assert said in sentence
    assert (Path(__file__).parents[2] / re.search(r"\((docs/.*\.md)\)", sentence).group(1)).is_file()


def test_markdown_tables_are_aligned_and_show_details_and_second_lines():
    rows = [Row(["a|b", "1"], details=["", "[0, 2]"]), Row(["longer", "20"], under=["", "paper 3"])]
    lines = markdown.render([Table("All.", [Column("name", "left"), Column("value")], rows)]).splitlines()
    assert lines == [
        "All.",
        "",
        "| name   |    value |",
        "| ------ | -------: |",
        r"| a\|b   | 1 [0, 2] |",
        "| longer |       20 |",
        "|        |  paper 3 |",
    ]


def test_markdown_wraps_without_opening_lists():
    text = markdown.render([Paragraph(f"{'word ' * 19}long - dash 7. seven")])
    assert all(len(line) <= markdown.WIDTH + 1 for line in text.splitlines())
    assert not any(line.startswith(("- ", "7. ")) for line in text.splitlines())


def test_html_escapes_everything_but_the_drawing():
    page = report_html.render([Heading(1, "<T>"), Items([("a&b", "<i>")]), Figure("<svg x='1'></svg>", 'c"d')])
    assert "<title>&lt;T&gt;</title>" in page
    assert "<li><strong>a&amp;b:</strong> &lt;i&gt;</li>" in page
    assert """<svg role="img" aria-label="c&quot;d" x='1'></svg>""" in page
