from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crishim.core.gotemplate import TemplateError, render

DATA: dict[str, object] = {
    "PodCIDR": "10.0.0.0/24",
    "PodCIDRRanges": ["10.0.0.0/24", "fd00::/64"],
    "Routes": ["0.0.0.0/0", "::/0"],
    "Empty": [],
    "Zero": 0,
    "Yes": True,
}

RENDERED = [
    ("", ""),
    ("a }} b", "a }} b"),
    ('{"subnet": "{{.PodCIDR}}"}', '{"subnet": "10.0.0.0/24"}'),
    ("{{ .PodCIDR }}{{ $.PodCIDR }}", "10.0.0.0/2410.0.0.0/24"),
    ("{{range .Routes}}[{{.}}]{{end}}", "[0.0.0.0/0][::/0]"),
    ("{{range $r := .Routes}}{{$r}};{{end}}", "0.0.0.0/0;::/0;"),
    ("{{range $i, $r := .Routes}}{{if $i}}, {{end}}{{$i}}={{$r}}{{end}}", "0=0.0.0.0/0, 1=::/0"),
    ("{{range .Routes}}{{$.PodCIDR}} {{end}}", "10.0.0.0/24 10.0.0.0/24 "),
    ("{{range .Empty}}x{{else}}none{{end}}", "none"),
    (
        "{{range $i, $x := .Routes}}{{range $i, $y := $.Routes}}{{$i}}{{$x}} {{end}}{{end}}",
        "00.0.0.0/0 10.0.0.0/0 0::/0 1::/0 ",
    ),
    ("{{if .Zero}}a{{else if .Empty}}b{{else if .Yes}}c{{else}}d{{end}}", "c"),
    ("{{if .Zero}}a{{else if .Empty}}b{{else}}d{{end}}", "d"),
    ("{{if .Zero}}a{{end}}", ""),
    ("a \n {{- .Zero -}} \t b", "a0b"),
    ("a {{/* a {{ comment }} */}} b", "a  b"),
    ("a {{- /* a\ncomment */ -}} b", "ab"),
    ("{{.Yes}} {{.Routes}}", "true [0.0.0.0/0 ::/0]"),
]

REFUSED = [
    ("{{.Gateway}}", 1, 1, ".Gateway: no such field; there are Empty, PodCIDR,"),
    ("a\nbc{{.PodCIDR | printf}}", 2, 14, "'| printf' is not supported here"),
    ("{{printf .PodCIDR}}", 1, 1, "expected one value, if, range, else or end"),
    ("{{printf}}", 1, 1, "'printf' is not supported; expected a field, a variable or a dot"),
    ('{{"text"}}', 1, 3, "is not supported here"),
    ("{{with .Routes}}{{end}}", 1, 1, "expected one value"),
    ("{{$x := .Routes}}", 1, 1, "expected one value"),
    ("{{$x}}", 1, 1, "variable $x is not defined"),
    ("{{range $i, $r := .Routes}}{{end}}{{$i}}", 1, 35, "variable $i is not defined"),
    ("{{}}", 1, 1, "expected one value"),
    ("{{-3}}", 1, 3, "'-3' is not supported here"),
    ("{{ /* a */}}", 1, 4, "is not supported here"),
    ("{{.PodCIDR", 1, 1, "the action or comment that begins here has no end"),
    ("x {{/* a }}", 1, 3, "the action or comment that begins here has no end"),
    ("{{if .Yes}}", 1, 1, "the if that begins here has no {{end}}"),
    ("{{range .Routes}}{{else}}", 1, 1, "the range that begins here has no {{end}}"),
    ("{{if .Yes}}{{else}}{{else}}{{end}}", 1, 20, "expected {{end}}"),
    ("{{range .Routes}}{{else if .Yes}}{{end}}", 1, 18, "expected {{end}}"),
    ("{{if .Yes}}{{end .}}", 1, 12, "expected {{end}}"),
    ("\n{{end}}", 2, 1, "{{end}} without an if or a range before it"),
    ("{{if}}{{end}}", 1, 1, "expected if VALUE"),
    ("{{range x, $y := .Routes}}{{end}}", 1, 1, "expected if VALUE"),
    ("{{range .PodCIDR}}{{end}}", 1, 1, "range over .PodCIDR, which is not a list"),
    ("{{range .Routes}}{{.PodCIDR}}{{end}}", 1, 18, ".PodCIDR: only the data has fields"),
    ("{{.}}", 1, 1, ". cannot be printed"),
    (51 * "{{if .Yes}}" + 51 * "{{end}}", 1, 551, "blocks are nested more than 50 deep"),
]


@pytest.mark.parametrize(("template", "expected"), RENDERED)
def test_rendered(template: str, expected: str) -> None:
    assert render(template, DATA, "t") == expected


@pytest.mark.parametrize(("template", "line", "column", "problem"), REFUSED)
def test_refused(template: str, line: int, column: int, problem: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(template, DATA, "/etc/t")
    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).startswith(f"/etc/t:{line}:{column}: ")
    assert problem in str(caught.value)


def test_a_whole_configuration() -> None:
    template = """{
      "ranges": [{{range $i, $range := .PodCIDRRanges}}{{if $i}}, {{end}}[{"subnet": "{{$range}}"}]{{end}}],
      "routes": [{{range $i, $route := .Routes}}{{if $i}}, {{end}}{"dst": "{{$route}}"}{{end}}]
    }"""
    assert json.loads(render(template, DATA, "t")) == {
        "ranges": [[{"subnet": "10.0.0.0/24"}], [{"subnet": "fd00::/64"}]],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
    }


ACTIONS = ("{{end}}", "{{else}}", "{{if .Yes}}", "{{range $i, $r := .Routes}}", "{{$r}}", "{{/*", "*/}}")
WORDS = (
    "{{",
    "}}",
    "{{-",
    "-}}",
    "if",
    "else",
    "end",
    "range",
    "$i",
    "$",
    ",",
    ":=",
    ".",
    ".Routes",
    ".Zero",
    " ",
    "\n",
)
PIECES = st.sampled_from(ACTIONS + WORDS)


@settings(deadline=None)
@given(st.lists(PIECES, max_size=25).map("".join) | st.lists(PIECES, max_size=15).map(" ".join) | st.text())
def test_any_template_ends_in_text_or_the_error(template: str) -> None:
    with suppress(TemplateError):
        assert isinstance(render(template, DATA, "t"), str)
