"""A machine without an OpenMP runtime gets one out of a wheel, and nothing is left lying about."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import ctypes
import os
from pathlib import Path
from local import openmp

openmp.start_again_with_a_runtime("borrower")
ctypes.CDLL("libgomp.so.1")
openmp.tidy_up()
mapped = Path("/proc/self/maps").read_text()
print("lent" if "pykdtree.libs" in mapped else "its own")
print(Path(os.environ["PARLEY_OPENMP_LENT"]).exists())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems bring their own")
def test_llama_cpps_runtime_comes_out_of_a_wheel(tmp_path: Path) -> None:
    (tmp_path / "borrower.py").write_text(PROGRAM)
    told = subprocess.run(
        [sys.executable, "-m", "borrower"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())])},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert told.stdout.split("\n")[:2] == ["lent", "False"], told.stderr
