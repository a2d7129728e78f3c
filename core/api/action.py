"""Actions: operations that share one path and are told apart by the one key of the body.

`POST /volumes/{id}/action` with `{"os-extend": {"new_size": 2}}`. Each has a rule, a shape, a version and a status of
its own, exactly as if it had a path of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from core.api.call import Answer, Call
from core.api.fault import Fault, bad_request
from core.api.microversion import Version
from core.api.route import ANY_VERSION, Handler, Route
from core.api.shape import Check, Shape


class Action(NamedTuple):
    """One action; `body` checks what stands under its name."""

    name: str
    rule: str
    handler: Handler
    success: int = 202
    body: Check | None = None
    since: Version = ANY_VERSION


class Actions:
    """The actions of one path."""

    def __init__(self, method: str, path: str, actions: Iterable[Action]) -> None:
        self.actions = {action.name: action for action in actions}
        first = next(iter(self.actions.values()))
        self.route = Route(method, path, first.rule, self.handle, first.success, Shape({}))

    async def handle(self, call: Call) -> Any:
        """Find the action a body names, check what it says, and perform it."""
        names = [name for name in call.body if name in self.actions]
        if len(call.body) != 1 or not names:
            raise bad_request(
                "There is no such action: the body names one action and nothing else."
            )
        action = self.actions[names[0]]
        if call.microversion < action.since:
            raise Fault(404, "The action is not there in this version of the API.")
        call.route = self.route._replace(rule=action.rule, success=action.success)
        if action.body is not None:
            action.body(call.body[action.name], action.name)
        answer = await action.handler(call)
        if isinstance(answer, Answer) and answer.status:
            return answer
        if isinstance(answer, Answer):
            return answer._replace(status=action.success)
        return Answer(answer, action.success)
