"""The request log's template: what is rendered, what is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.config.go_values import ConfigError
from pilotlight.config.log_template import LONGEST_VALUE, TemplateError, Value, js, parse
from pilotlight.config.observability import DEFAULT_REQUEST_LOG_TEMPLATE
from pilotlight.config.observability import parse as parse_config_map


def look_up(field: str, argument: str) -> Value:
    values: dict[str, Value] = {
        "Response.Code": 200,
        "Response.Size": 12,
        "Response.Latency": 0.0125,
        "Request.UserAgent": 'a"b<c>\n',
        "Request.Host": "app.example",
        "Request.ContentLength": -1,
        "TraceID": "",
    }
    return f"<{argument}>" if argument else values.get(field, field)


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("plain", "plain"),
        ("", ""),
        ("{{.Response.Code}} {{ .Response.Latency }}s", "200 0.0125s"),
        ("{{.Request.ContentLength}}", "-1"),
        ("{{js .Request.UserAgent}}", 'a\\"b\\u003Cc\\u003E\\u000A'),
        ("{{.Request.UserAgent | html}}", "a&#34;b&lt;c&gt;\n"),
        ("{{urlquery .Request.UserAgent}}", "a%22b%3Cc%3E%0A"),
        ('{{.Request.Header.Get "X-Id"}}', "<X-Id>"),
        ('{{"X-Id" | .Request.Header.Get | js}}', "\\u003CX-Id\\u003E"),
        ('{{printf "%s:%d %.2f%%" .Request.Host .Response.Code .Response.Latency}}',
         "app.example:200 0.01%"),
        ('{{printf "%q" .Request.UserAgent}}', '"a\\"b<c>\\n"'),
        ("{{if eq .Response.Code 200}}ok{{else}}bad{{end}}", "ok"),
        ("{{if .TraceID}}t{{else if .Response.Size}}s{{else}}n{{end}}", "s"),
        ("{{if not (or .TraceID (eq 1 2))}}{{if and 1 .Request.Host}}x{{end}}{{end}}y", "xy"),
        ("{{if ne .Response.Code 200}}x{{end}}", ""),
        ("{{len .Request.Host}}", "11"),
        ("a {{- /* nothing */ -}} b", "ab"),
        ('{{"}}"}}{{`{{`}}', "}}{{"),
        ("{{print .Request.Host 1 true}}", "app.example1true"),
    ],
)  # fmt: skip
def test_what_is_rendered(template: str, line: str) -> None:
    assert parse(template).render(look_up) == line


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{{.Request.Method", "unclosed action"),
        ("{{.Request.Body}}", "there is no field .Request.Body"),
        ("{{range .Request.Header}}{{end}}", "unknown function 'range'"),
        ("{{if .TraceID}}", "without its {{end}}"),
        ("{{if .TraceID}}{{else}}{{else}}{{end}}", "without its {{end}}"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{}}", "missing value"),
        ("{{js}}", "wrong number of arguments for js"),
        ("{{.TraceID | .Request.Host}}", "is no function"),
        ("{{(.TraceID}}", "unclosed parenthesis"),
        ("{{.TraceID .TraceID}}", "unexpected '.TraceID'"),
        ("{{$x}}", "unexpected '$x'"),
        ('{{printf "%s"}}', "printf"),
        ('{{printf "%9999999d" 1}}', "printf: too wide"),
        ("{{printf .Request.Host}}", "must be a string"),
        ("{{if 1}}" * 17 + "{{end}}" * 17, "nested deeper"),
        ("{{" + "(" * 40 + "1" + ")" * 40 + "}}", "nested too deep"),
        ("x" * 8193, "longer than 8192"),
    ],
)
def test_what_is_refused(template: str, complaint: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse(template)
    assert complaint in str(caught.value)


def test_a_config_map_with_a_bad_template_is_refused_by_name() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config_map({"logging.request-log-template": "{{.Request.Body}}"})
    assert "logging.request-log-template" in str(caught.value)
    assert "there is no field .Request.Body" in str(caught.value)


def test_the_usual_template_gives_json() -> None:
    line = json.loads(parse(DEFAULT_REQUEST_LOG_TEMPLATE).render(look_up))
    assert line["httpRequest"]["status"] == 200
    assert line["httpRequest"]["userAgent"] == 'a"b<c>\n'


def test_a_value_cannot_fill_the_log() -> None:
    assert parse("{{.Request.Host}}").render(lambda f, a: "x" * 9999) == "x" * LONGEST_VALUE


@given(st.text())
def test_what_js_gives_stays_between_quotes(text: str) -> None:
    escaped = js(text).replace("\\'", "'")
    assert json.loads(f'"{escaped}"') == text


@given(st.text(alphabet='{}.-|()"` /*ifelsndjTracID0%', max_size=40))
def test_any_text_is_rendered_or_refused(text: str) -> None:
    try:
        template = parse(text)
    except TemplateError:
        return
    template.render(look_up)
