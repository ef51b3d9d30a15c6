"""The phases of an exchange, and the only place where they change.

WAITING   the application has the request and has not decided, or has it back after a failure
SENT      it was given to an upstream, and no byte of an answer has gone to the client
ANSWERING the answer's head has gone to the client
TUNNEL    both sides switched protocols; bytes are relayed
ENDED     nothing more happens
"""

from __future__ import annotations

from enum import IntEnum

from pilotlight.http.errors import StateError


class Phase(IntEnum):
    WAITING = 0
    SENT = 1
    ANSWERING = 2
    TUNNEL = 3
    ENDED = 4


class Step(IntEnum):
    FORWARD = 0
    TAKE_BACK = 1
    ANSWER = 2
    UPGRADE = 3
    END = 4


TABLE: dict[Phase, dict[Step, Phase]] = {
    Phase.WAITING: {
        Step.FORWARD: Phase.SENT,
        Step.ANSWER: Phase.ANSWERING,
        Step.END: Phase.ENDED,
    },
    Phase.SENT: {
        Step.TAKE_BACK: Phase.WAITING,
        Step.ANSWER: Phase.ANSWERING,
        Step.UPGRADE: Phase.TUNNEL,
        Step.END: Phase.ENDED,
    },
    Phase.ANSWERING: {Step.END: Phase.ENDED},
    Phase.TUNNEL: {Step.END: Phase.ENDED},
    Phase.ENDED: {},
}
_NEXT = [[TABLE[phase].get(step) for step in Step] for phase in Phase]


def advance(phase: Phase, step: Step) -> Phase:
    """The phase after a step; StateError where the step is not allowed."""
    following = _NEXT[phase][step]
    if following is None:
        raise StateError(f"{step.name} in phase {phase.name}")
    return following
