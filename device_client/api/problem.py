"""What the coordinator says when it says no: one exception with the problem in it."""

from typing import Any, NamedTuple


class Problem(NamedTuple):
    """A problem document (RFC 9457). `code` is stable, `detail` is for people, `field` names what is wrong with the
    query or body. What was refused of a statement and receipted has the last four, as they stand on the receipt."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str
    field: str | None = None
    statement: str | None = None
    verdict: str | None = None
    slot: int | None = None
    receipt: str | None = None


class ProblemError(Exception):
    """The coordinator said no, or something that is no answer of this API: then `code` is `bad_answer`, `status` 0 or
    that of the answer."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.status} {problem.code}: {problem.detail}")
        self.problem = problem

    @property
    def status(self) -> int:
        return self.problem.status

    @property
    def code(self) -> str:
        return self.problem.code

    @property
    def detail(self) -> str:
        return self.problem.detail


def bad_answer(detail: str, status: int = 0) -> ProblemError:
    return ProblemError(Problem("urn:edgetally:problem:bad_answer", "Not an answer", status, detail, "bad_answer", ""))


def problem_of(status: int, found: Any) -> ProblemError:
    """Of the JSON of an answer that is none."""
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in _TEXTS):
        return bad_answer("the refusal is no problem document", status)
    known = {name: found[name] for name in Problem._fields if name in found}
    return ProblemError(Problem(**known | {"status": status}))


_TEXTS = ("type", "title", "detail", "code", "instance")
