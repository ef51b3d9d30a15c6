"""What counts as lost, and what a killed process explains."""

from __future__ import annotations

import pytest

from e2e.soak.client import goes_again
from e2e.soak.ledger import NOTICED_S, RESET_S, Closed, Disturbance, Failure, Kill, Ledger, Record

AT = 100.0
OF_APP = Kill("kill of app", AT, legs=("app",))
OF_ACTIVATOR = Kill("kill of activator", AT, legs=("",), away_s=3.0)


def failed(failure: Failure, began: float = 99.0, ended: float = 100.1, **more: object) -> Record:
    return Record("short", "a", began, ended, failure=failure, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kill", "record", "explained"),
    [
        pytest.param(OF_APP, failed(Failure.STATUS, status=502, leg="app"), True, id="reported"),
        pytest.param(OF_APP, failed(Failure.STATUS, status=502), False, id="not reported"),
        pytest.param(OF_APP, failed(Failure.STATUS, status=503, leg="queue"), False, id="full"),
        pytest.param(OF_APP, failed(Failure.BROKEN, status=200), True, id="in the answer"),
        pytest.param(OF_APP, failed(Failure.BROKEN), False, id="no answer at all"),
        pytest.param(OF_ACTIVATOR, failed(Failure.BROKEN), True, id="client's own connection"),
        pytest.param(OF_APP, failed(Failure.WRONG, status=200), False, id="wrong body"),
        pytest.param(OF_APP, failed(Failure.LATE), False, id="late"),
        pytest.param(
            OF_APP, failed(Failure.STATUS, began=AT + 1, ended=AT + 2, leg="app"), False, id="after"
        ),
        pytest.param(
            Kill("kill of app", AT, legs=("app",), gone=AT + 0.2),
            failed(Failure.STATUS, began=AT + 0.1, ended=AT + 0.3, leg="app"),
            True,
            id="while it ended",
        ),
        pytest.param(OF_APP, failed(Failure.STATUS, ended=AT - 0.1, leg="app"), False, id="before"),
        pytest.param(
            OF_APP,
            failed(Failure.STATUS, ended=AT + NOTICED_S + 1, leg="app"),
            False,
            id="late too",
        ),
        pytest.param(
            OF_ACTIVATOR,
            failed(Failure.BROKEN, began=AT + RESET_S / 2, ended=AT + 1, reused=True),
            True,
            id="on a connection that was in it",
        ),
        pytest.param(
            OF_ACTIVATOR,
            failed(Failure.BROKEN, began=AT + RESET_S / 2, ended=AT + 1),
            False,
            id="on a new connection",
        ),
        pytest.param(
            OF_ACTIVATOR,
            failed(Failure.REFUSED, began=AT + 1, ended=AT + 1),
            True,
            id="refused while it was away",
        ),
        pytest.param(
            OF_ACTIVATOR, failed(Failure.REFUSED, began=AT + 4, ended=AT + 4), False, id="too long"
        ),
    ],
)
def test_what_a_kill_explains(kill: Kill, record: Record, explained: bool) -> None:
    assert (Ledger([record], [kill]).lost() == []) is explained


def test_without_a_kill_every_failure_is_a_loss() -> None:
    good, bad = Record("short", "a", 1.0, 1.5, status=200), failed(Failure.BROKEN)
    ledger = Ledger([good, bad], [Disturbance("roll-out", 99.5)])
    assert ledger.lost() == [bad]
    assert "short to a" in ledger.describe(ledger.lost())
    assert "roll-out" in ledger.describe(ledger.lost())
    rows = [line.split() for line in ledger.table().splitlines()]
    assert ["roll-out", "1", "short", "1", "1", "1", "0", "1100", "1100"] in rows
    assert ["all", "short", "2", "1", "1", "0", "1100", "1100"] in rows


@pytest.mark.parametrize(
    ("method", "reused", "heard", "again"),
    [
        ("GET", True, False, True),
        ("POST", True, False, False),
        ("GET", False, False, False),
        ("GET", True, True, False),
    ],
)
def test_a_client_sends_again_what_it_may(
    method: str, reused: bool, heard: bool, again: bool
) -> None:
    assert goes_again(method, reused=reused, heard=heard) is again


@pytest.mark.parametrize(
    ("failure", "began", "lost"),
    [
        pytest.param(Failure.REFUSED, AT + 1, False, id="refused"),
        pytest.param(Failure.REFUSED, AT + 3, True, id="refused later"),
        pytest.param(Failure.BROKEN, AT + 1, True, id="broken"),
    ],
)
def test_without_endpoints_connections_are_refused(
    failure: Failure, began: float, lost: bool
) -> None:
    record = failed(failure, began=began, ended=began)
    closed = Closed("no endpoints", AT, AT + 2)
    assert (Ledger([record], [closed]).lost() == [record]) is lost
