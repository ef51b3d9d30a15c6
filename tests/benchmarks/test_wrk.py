from __future__ import annotations

import pytest

from benchmarks.results import CaseError
from benchmarks.wrk import Load, parse

OUTPUT = """\
Running 2s test @ http://127.0.0.1:19091/
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    74.65us  133.92us   2.88ms   97.19%
    Req/Sec   178.77k    10.46k  195.47k    71.43%
  Latency Distribution
     50%  580.00us
     75%   70.00us
     90%   91.00us
     99%    1.25s {pad}
  372359 requests in 2.50s, 27.70MB read
{bad}Requests/sec: 177331.54
Transfer/sec:     13.19MB
"""


def test_what_wrk_prints() -> None:
    assert parse(OUTPUT.format(bad="", pad="")) == Load(372359, 148943.6, 0.58, 1250.0)


@pytest.mark.parametrize(
    "bad",
    [
        "  Socket errors: connect 0, read 3, write 0, timeout 0\n",
        "  Non-2xx or 3xx responses: 12\n",
    ],
)
def test_bad_answers_are_no_measurement(bad: str) -> None:
    with pytest.raises(CaseError, match=bad.strip()):
        parse(OUTPUT.format(bad=bad, pad=""))


def test_wrk_that_could_not_connect() -> None:
    with pytest.raises(CaseError, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:1 Connection refused\n")
