"""Commands called inside the test: the same entry point, without a second of imports for each."""

import contextlib
import io
import sys
from subprocess import CompletedProcess

from coordinator.cli import main


def edgetally(*arguments: object) -> "CompletedProcess[str]":
    out, err, held, code = io.StringIO(), io.StringIO(), sys.argv, 0
    sys.argv = ["edgetally", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    finally:
        sys.argv = held
    return CompletedProcess(list(arguments), code, out.getvalue(), err.getvalue())
