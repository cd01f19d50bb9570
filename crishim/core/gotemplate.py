"""The part of Go's template language that a ``conf_template`` needs. Pure: text and data in, text out.

Actions: ``{{.PodCIDR}}``, ``{{.}}``, ``{{$name}}``; ``{{range .Routes}}``, ``{{range $value := .Routes}}``,
``{{range $index, $value := .Routes}}``; ``{{if $index}}``, ``{{else if …}}``, ``{{else}}``, ``{{end}}``;
comments ``{{/* … */}}``; and the markers ``{{-`` and ``-}}``, which trim the white space next to them. Functions,
pipelines, literals, assignments and ``with`` are refused. Source: documentation of Go's package text/template, and
of conf_template in containerd's CRI configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from crishim.core.errors import ConfigError

_MAX_DEPTH = 50
_SPACE = " \t\r\n"
_OPEN = re.compile(r"\{\{(-[ \t\r\n])?")
_COMMENT = re.compile(r"/\*.*?\*/([ \t\r\n]-)?\}\}", re.DOTALL)
_CLOSE = re.compile(r"([ \t\r\n]-)?\}\}")
_WORD = re.compile(r"(\$?\w*(?:\.\w+)+|\$\w*|\.|\w+|:=|,)[ \t\r\n]*")
_PATH = re.compile(r"(\$\w*)?(\.\w+)*|\.")
_VARIABLE = re.compile(r"\$\w+")


class TemplateError(ConfigError):
    """A template is not in the subset, or does not fit its data; the message names source, line and column."""

    def __init__(self, source: str, line: int, column: int, problem: str) -> None:
        super().__init__(f"{source}:{line}:{column}: {problem}")
        self.line, self.column = line, column


@dataclass(frozen=True)
class _Action:
    """What stands between ``{{`` and ``}}``, in words; ``offset`` is that of the ``{{``."""

    words: tuple[str, ...]
    offset: int

    @property
    def keyword(self) -> str:
        return self.words[0] if self.words else ""


@dataclass(frozen=True)
class _Block:
    """An ``if`` or a ``range`` (``variables``: none, value, or index and value) and what it encloses."""

    action: _Action
    keyword: str
    variables: tuple[str, ...]
    path: str
    body: tuple[_Node, ...]
    orelse: tuple[_Node, ...]


_Node = str | _Action | _Block


@dataclass(frozen=True)
class _Scope:
    """What ``.`` and the variables stand for; ``$`` is the data."""

    dot: object
    variables: Mapping[str, object] = field(default_factory=dict)


def render(template: str, data: Mapping[str, object], source: str) -> str:
    """The template with ``data`` filled in; values are strings, numbers, booleans and sequences of them.

    ``source`` is the name that errors give the template. Raises TemplateError.
    """
    return _Template(template, source).render(data)


class _Template:
    """One template on its way from text to tokens, from tokens to nodes, and from nodes to text again."""

    def __init__(self, text: str, source: str) -> None:
        self._text, self._source = text, source

    def render(self, data: Mapping[str, object]) -> str:
        tokens = self._lex()
        nodes, stop = self._body(tokens, frozenset("$"), 0)
        if stop is not None:
            raise self._error(stop.offset, f"{{{{{stop.words[0]}}}}} without an if or a range before it")
        return "".join(self._run(nodes, _Scope(data, {"$": data})))

    def _error(self, offset: int, problem: str) -> TemplateError:
        line = self._text.count("\n", 0, offset) + 1
        column = offset - self._text.rfind("\n", 0, offset)
        return TemplateError(self._source, line, column, problem)

    # text → tokens

    def _lex(self) -> Iterator[str | _Action]:
        at, trim = 0, False
        while opened := _OPEN.search(self._text, at):
            text = self._text[at : opened.start()]
            text = text.lstrip(_SPACE) if trim else text
            yield text.rstrip(_SPACE) if opened[1] else text
            if self._text.startswith("/*", opened.end()):
                closed = _COMMENT.match(self._text, opened.end())
            else:
                closed = _CLOSE.search(self._text, opened.end())
            if closed is None:
                raise self._error(opened.start(), "the action or comment that begins here has no end")
            if closed.re is _CLOSE:
                yield _Action(tuple(self._words(opened.end(), closed.start())), opened.start())
            at, trim = closed.end(), bool(closed[1])
        yield self._text[at:].lstrip(_SPACE) if trim else self._text[at:]

    def _words(self, start: int, end: int) -> Iterator[str]:
        start = end - len(self._text[start:end].lstrip(_SPACE))
        while start < end:
            word = _WORD.match(self._text, start, end)
            if word is None:
                raise self._error(start, f"{self._text[start:end].rstrip(_SPACE)[:40]!r} is not supported here")
            yield word[1]
            start = word.end()

    # tokens → nodes

    def _body(
        self, tokens: Iterator[str | _Action], names: frozenset[str], depth: int
    ) -> tuple[tuple[_Node, ...], _Action | None]:
        """The nodes up to an ``else`` or ``end``, and that action; None at the end of the template."""
        nodes: list[_Node] = []
        for token in tokens:
            if isinstance(token, str):
                nodes.append(token)
            elif token.keyword in ("else", "end"):
                return tuple(nodes), token
            elif token.keyword in ("if", "range"):
                nodes.append(self._block(token, token.words, tokens, names, depth + 1))
            else:
                if len(token.words) != 1:
                    raise self._error(token.offset, "expected one value, if, range, else or end")
                self._check_path(token, token.words[0], names)
                nodes.append(token)
        return tuple(nodes), None

    def _block(
        self,
        action: _Action,
        words: tuple[str, ...],
        tokens: Iterator[str | _Action],
        names: frozenset[str],
        depth: int,
    ) -> _Block:
        if depth > _MAX_DEPTH:
            raise self._error(action.offset, f"blocks are nested more than {_MAX_DEPTH} deep")
        keyword, variables, path = self._header(action, words)
        self._check_path(action, path, names)
        body, stop = self._body(tokens, names | set(variables), depth)
        if stop is not None and stop.words[:2] == ("else", "if") and keyword == "if":
            # One {{end}} ends the whole chain: the block of the else takes it.
            chained = self._block(stop, stop.words[1:], tokens, names, depth + 1)
            return _Block(action, keyword, variables, path, body, (chained,))
        orelse: tuple[_Node, ...] = ()
        if stop is not None and stop.words == ("else",):
            orelse, stop = self._body(tokens, names, depth)
        if stop is None:
            raise self._error(action.offset, f"the {keyword} that begins here has no {{{{end}}}}")
        if stop.words != ("end",):
            raise self._error(stop.offset, "expected {{end}}")
        return _Block(action, keyword, variables, path, body, orelse)

    def _header(self, action: _Action, words: tuple[str, ...]) -> tuple[str, tuple[str, ...], str]:
        match words:
            case ("if" | "range" as keyword, path):
                return keyword, (), path
            case ("range", value, ":=", path) if _VARIABLE.fullmatch(value):
                return "range", (value,), path
            case ("range", index, ",", value, ":=", path) if _VARIABLE.fullmatch(index) and _VARIABLE.fullmatch(value):
                return "range", (index, value), path
        raise self._error(action.offset, "expected if VALUE, range VALUE or range $INDEX, $VALUE := VALUE")

    def _check_path(self, action: _Action, path: str, names: frozenset[str]) -> None:
        if not _PATH.fullmatch(path):
            raise self._error(action.offset, f"{path!r} is not supported; expected a field, a variable or a dot")
        variable = path.split(".", maxsplit=1)[0]
        if variable and variable not in names:
            raise self._error(action.offset, f"variable {variable} is not defined")

    # nodes → text

    def _run(self, nodes: Sequence[_Node], scope: _Scope) -> Iterator[str]:
        for node in nodes:
            if isinstance(node, str):
                yield node
            elif isinstance(node, _Action):
                yield self._printed(node, self._value(node, node.words[0], scope))
            else:
                yield from self._run_block(node, scope)

    def _run_block(self, block: _Block, scope: _Scope) -> Iterator[str]:
        value = self._value(block.action, block.path, scope)
        if block.keyword == "range" and not isinstance(value, (list, tuple)):
            raise self._error(block.action.offset, f"range over {block.path}, which is not a list")
        if not value:
            yield from self._run(block.orelse, scope)
        elif not isinstance(value, (list, tuple)) or block.keyword == "if":
            yield from self._run(block.body, scope)
        else:
            for index, item in enumerate(value):
                values = (index, item)[2 - len(block.variables) :]
                variables = {**scope.variables, **dict(zip(block.variables, values, strict=True))}
                yield from self._run(block.body, _Scope(item, variables))

    def _value(self, action: _Action, path: str, scope: _Scope) -> object:
        start, *fields = path.split(".")
        value = scope.variables[start] if start else scope.dot
        for name in filter(None, fields):
            if not isinstance(value, Mapping):
                raise self._error(action.offset, f"{path}: only the data has fields")
            if name not in value:
                raise self._error(action.offset, f"{path}: no such field; there are {', '.join(sorted(value))}")
            value = value[name]
        return value

    def _printed(self, action: _Action, value: object) -> str:
        match value:
            case bool():
                return "true" if value else "false"
            case str() | int() | float():
                return str(value)
            case list() | tuple():
                return "[" + " ".join(self._printed(action, item) for item in value) + "]"
        raise self._error(action.offset, f"{action.words[0]} cannot be printed")
