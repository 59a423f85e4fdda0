"""Run a module in a process whose standard library is patched: `python -m tests.green pytest tests/unit`."""

from zones import green

green.patch()

import runpy  # noqa: E402 - after the patch
import sys  # noqa: E402

if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python -m tests.green MODULE [ARGUMENT …]")
    module = sys.argv[1]
    del sys.argv[1]
    sys.path.insert(0, "")
    runpy.run_module(module, run_name="__main__", alter_sys=True)
