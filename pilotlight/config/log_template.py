"""The template of the request log: the part of Go's text templates that it may use. Pure.

Fields (`{{.Request.Method}}`), `.Request.Header.Get "Name"`, the functions `js`, `html`,
`urlquery`, `print`, `printf`, `len`, `eq`, `ne`, `not`, `and`, `or`, also as a pipe
(`{{.TraceID | js}}`), `{{if}}`, `{{else}}`, `{{else if}}`, `{{end}}`, comments, and `{{-` and
`-}}`. Anything more is refused when the template is read, with the words that were not understood.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

LARGEST_TEMPLATE: Final = 8192
LONGEST_VALUE: Final = 2048
_DEEPEST: Final = 16

FIELDS: Final = frozenset(
    {
        "Request.Method", "Request.RequestURI", "Request.URL", "Request.URL.Path",
        "Request.URL.RawQuery", "Request.Host", "Request.Proto", "Request.ProtoMajor",
        "Request.ProtoMinor", "Request.ContentLength", "Request.RemoteAddr", "Request.UserAgent",
        "Request.Referer", "Response.Code", "Response.Size", "Response.Latency", "Revision.Name",
        "Revision.Namespace", "Revision.Service", "Revision.Configuration", "Revision.PodName",
        "Revision.PodIP", "TraceID",
    }
)  # fmt: skip
HEADER: Final = "Request.Header.Get"

Value = str | int | float | bool
LookUp = Callable[[str, str], Value]
"""The value of a field, and of a header: then the second argument is its name, else empty."""
Part = Callable[[LookUp], Value]
_Nodes = list[str | Part]

_ACTION = re.compile(
    r"\{\{(- )?\s*(/\*.*?\*/|(?:\"(?:\\.|[^\"\\])*\"|`[^`]*`|[^\"`])*?)\s*( -)?\}\}", re.S
)
_WORD = re.compile(
    r"\s*(?:(\.[A-Za-z][\w.]*)|(\"(?:\\.|[^\"\\])*\"|`[^`]*`)|(-?\d+(?:\.\d+)?)(?![\w.])"
    r"|([A-Za-z]\w*)|([()|]))"
)
_VERB = re.compile(r"%(?:%|[-+ 0#]*\d*(?:\.\d+)?[sdvqfgx])")
_UNSAFE = {
    "\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026",
    "=": "\\u003D",
}  # fmt: skip
_HARMLESS = re.compile(r"[^\\'\"<>&=\x00-\x1f]*")
_HTML = {"&": "&amp;", "'": "&#39;", '"': "&#34;", "<": "&lt;", ">": "&gt;", "\0": "\ufffd"}


class TemplateError(ValueError):
    """The template cannot be understood; the text says where."""


class Template(NamedTuple):
    """A template that was understood."""

    nodes: _Nodes

    def render(self, look_up: LookUp) -> str:
        """The line for one request, without its end. Each value is cut at 2 KiB."""
        return _render(self.nodes, look_up)


def parse(text: str) -> Template:
    """Understand a template. Raises TemplateError."""
    if len(text) > LARGEST_TEMPLATE:
        raise TemplateError(f"the template is longer than {LARGEST_TEMPLATE} characters")
    pieces = _pieces(text)
    nodes, end = _block(pieces, 0, 0)
    if end < len(pieces):
        raise TemplateError(f"unexpected {{{{{pieces[end][1]}}}}}")
    return Template(nodes)


def _pieces(text: str) -> list[tuple[bool, str]]:
    """(is an action, its text) in order."""
    pieces: list[tuple[bool, str]] = []
    at, strip = 0, False
    for match in _ACTION.finditer(text):
        pieces.append((False, _plain(text[at : match.start()], strip, match[1] is not None)))
        if not match[2].startswith("/*"):
            pieces.append((True, match[2].strip()))
        at, strip = match.end(), match[3] is not None
    pieces.append((False, _plain(text[at:], strip, False)))
    return [piece for piece in pieces if piece[0] or piece[1]]


def _plain(text: str, strip_left: bool, strip_right: bool) -> str:
    if "{{" in text:
        raise TemplateError("unclosed action")
    text = text.lstrip() if strip_left else text
    return text.rstrip() if strip_right else text


def _block(pieces: list[tuple[bool, str]], at: int, depth: int) -> tuple[_Nodes, int]:
    """The nodes up to an `else` or `end` that is not theirs, and its place."""
    nodes: _Nodes = []
    while at < len(pieces):
        action, text = pieces[at]
        keyword = text.split(None, 1)[0] if action and text else ""
        if not action:
            nodes.append(text)
        elif keyword in ("else", "end"):
            break
        elif keyword == "if":
            node, at = _condition(pieces, at, text[2:], depth + 1)
            nodes.append(node)
        else:
            nodes.append(_expression(text))
        at += 1
    return nodes, at


def _condition(pieces: list[tuple[bool, str]], at: int, test: str, depth: int) -> tuple[Part, int]:
    """An `if`, and the place of its `end`."""
    if depth > _DEEPEST:
        raise TemplateError(f"conditions are nested deeper than {_DEEPEST}")
    chosen = _expression(test)
    then, at = _block(pieces, at + 1, depth)
    other: _Nodes = []
    keyword = pieces[at][1].split() if at < len(pieces) else []
    if keyword[:2] == ["else", "if"]:
        node, at = _condition(pieces, at, pieces[at][1].split(None, 1)[1][2:], depth + 1)
        other = [node]
    elif keyword == ["else"]:
        other, at = _block(pieces, at + 1, depth)
    if at >= len(pieces) or pieces[at][1] != "end":
        raise TemplateError("an {{if}} without its {{end}}")
    return (lambda look_up: _render(then if chosen(look_up) else other, look_up)), at


def _render(nodes: _Nodes, look_up: LookUp) -> str:
    return "".join([
        node if isinstance(node, str) else _text(node(look_up)) for node in nodes
    ])  # fmt: skip


def _text(value: Value) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        # As Go's %v, whose exponents have two digits.
        shortest = repr(value)
        return shortest.removesuffix(".0")
    return str(value)


# Expressions


class _Words:
    """The words of one action, taken from the left."""

    def __init__(self, text: str) -> None:
        self.action = text
        self.words: list[tuple[str, str]] = []
        at = 0
        text = text.rstrip()
        while at < len(text):
            match = _WORD.match(text, at)
            if match is None:
                raise self.error(f"unexpected {text[at:].strip()[:20]!r}")
            kind = ("field", "string", "number", "name", "mark")[(match.lastindex or 1) - 1]
            self.words.append((kind, match[match.lastindex or 1]))
            at = match.end()

    def error(self, text: str) -> TemplateError:
        return TemplateError(f"{text} in {{{{{self.action}}}}}")

    def next(self) -> tuple[str, str]:
        return self.words.pop(0) if self.words else ("", "")

    def peek(self) -> str:
        return self.words[0][1] if self.words else ""


def _expression(text: str) -> Part:
    words = _Words(text)
    part = _pipeline(words, 0)
    if words.words:
        raise words.error(f"unexpected {words.peek()!r}")
    return part


def _pipeline(words: _Words, depth: int) -> Part:
    if depth > _DEEPEST:
        raise words.error("parentheses are nested too deep")
    part = _command(words, depth, None)
    while words.peek() == "|":
        words.next()
        part = _command(words, depth, part)
    return part


def _command(words: _Words, depth: int, piped: Part | None) -> Part:
    kind, word = words.next()
    if kind == "name" and word in _FUNCTIONS:
        arguments = _arguments(words, depth)
        if piped is not None:
            arguments.append(piped)
        return _call(words, word, arguments)
    if kind == "field" and word == f".{HEADER}":
        arguments = [*_arguments(words, depth), *([piped] if piped is not None else [])]
        if len(arguments) != 1:
            raise words.error("Header.Get takes one argument")
        (name,) = arguments
        return lambda look_up: look_up(HEADER, _text(name(look_up)))
    if piped is not None:
        raise words.error(f"{word!r} is no function")
    return _operand(words, depth, kind, word)


def _arguments(words: _Words, depth: int) -> list[Part]:
    found = []
    while words.words and words.peek() not in ("|", ")"):
        found.append(_operand(words, depth, *words.next()))
    return found


def _operand(words: _Words, depth: int, kind: str, word: str) -> Part:
    value: Value
    if kind == "field":
        if word[1:] not in FIELDS:
            raise words.error(f"there is no field {word}")
        name = word[1:]
        return lambda look_up: _cut(look_up(name, ""))
    if kind == "string":
        value = word[1:-1] if word[0] == "`" else _unquoted(words, word)
    elif kind == "number":
        value = float(word) if "." in word else int(word)
    elif kind == "name" and word in ("true", "false"):
        value = word == "true"
    elif word == "(":
        part = _pipeline(words, depth + 1)
        if words.next()[1] != ")":
            raise words.error("unclosed parenthesis")
        return part
    else:
        raise words.error(
            f"unknown function {word!r}" if kind == "name" else f"missing value at {word!r}"
        )
    return lambda _look_up: value


def _unquoted(words: _Words, word: str) -> str:
    import json

    try:
        text: str = json.loads(word)
    except ValueError:
        raise words.error(f"{word} is no string") from None
    return text


def _cut(value: Value) -> Value:
    return value[:LONGEST_VALUE] if isinstance(value, str) else value


def _call(words: _Words, name: str, arguments: list[Part]) -> Part:
    least, most, function = _FUNCTIONS[name]
    if not least <= len(arguments) <= most:
        raise words.error(f"wrong number of arguments for {name}")
    if name == "printf":
        _check_format(words, arguments)
    return lambda look_up: function(*[argument(look_up) for argument in arguments])


def _check_format(words: _Words, arguments: list[Part]) -> None:
    try:
        form = _text(arguments[0](_no_field))
    except LookupError:
        raise words.error("the format of printf must be a string") from None
    verbs = [verb for verb in _VERB.findall(form) if verb != "%%"]
    if "%" in _VERB.sub("", form) or len(verbs) != len(arguments) - 1:
        raise words.error("printf: use %s, %d, %v, %q, %f, %g, %x, one for each argument")
    if any(len(verb) > 8 or re.search(r"\d{4}", verb) for verb in verbs):
        raise words.error("printf: too wide")


def _no_field(name: str, _argument: str) -> Value:
    raise LookupError(name)


# Functions


def js(*values: Value) -> str:
    """As Go's JSEscaper: what may stand between quotes in JavaScript or JSON."""
    text = _print(*values)
    if _HARMLESS.fullmatch(text):
        return text
    return "".join(_UNSAFE.get(c) or (f"\\u{ord(c):04X}" if c < " " else c) for c in text)


def _html(*values: Value) -> str:
    return "".join(_HTML.get(c, c) for c in _print(*values))


def _urlquery(*values: Value) -> str:
    from urllib.parse import quote_plus

    return quote_plus(_print(*values), safe="~")


def _print(*values: Value) -> str:
    return "".join(_text(value) for value in values)


def _printf(form: Value, *values: Value) -> str:
    left = iter(values)

    def replace(match: re.Match[str]) -> str:
        verb = match[0]
        if verb == "%%":
            return "%"
        value = next(left)
        kind = verb[-1]
        if kind == "q":
            import json

            return json.dumps(_text(value), ensure_ascii=False)
        if kind in "sv":
            return str(f"{verb[:-1]}s" % _text(value))
        try:
            number = float(value) if kind in "fg" else int(value)
            return str(verb % number)
        except ValueError:
            return f"%!{kind}(string={value})"

    return _VERB.sub(replace, _text(form))


def _len(value: Value) -> int:
    return len(_text(value).encode())


def _equal(first: Value, *others: Value) -> bool:
    return any(first == other for other in others)


def _and(*values: Value) -> Value:
    return next((value for value in values if not value), values[-1])


def _or(*values: Value) -> Value:
    return next((value for value in values if value), values[-1])


_MANY: Final = 32
_FUNCTIONS: Final[dict[str, tuple[int, int, Callable[..., Any]]]] = {
    "js": (1, _MANY, js),
    "html": (1, _MANY, _html),
    "urlquery": (1, _MANY, _urlquery),
    "print": (1, _MANY, _print),
    "printf": (1, _MANY, _printf),
    "len": (1, 1, _len),
    "eq": (2, _MANY, _equal),
    "ne": (2, 2, lambda a, b: a != b),
    "not": (1, 1, lambda value: not value),
    "and": (1, _MANY, _and),
    "or": (1, _MANY, _or),
}
