"""A process that is killed in the middle of a run leaves what another one goes on from, to the same draws."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

CODE = """
import sys, numpy as np, bayesnmf as bn
X = np.random.default_rng(0).poisson(4.0, (30, 20))
engines = {
    "Gibbs": lambda folder: bn.Gibbs(chains=2, warmup=50, draws=5000, starts=1, checkpoint=folder),
    "NUTS": lambda folder: bn.NUTS(chains=2, warmup=50, draws=500, starts=1, checkpoint=folder),
    "SVI": lambda folder: bn.SVI(max_steps=20_000, tol=0.0, starts=1, checkpoint=folder),
}
def run(name, folder=None):
    return bn.fit(X, rank=3, engine=engines[name](folder))
if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2])
"""


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["Gibbs", "NUTS", "SVI"])
def test_a_killed_run_goes_on_to_the_same_draws(name: str, tmp_path: Path) -> None:
    folder, script = tmp_path / "run", tmp_path / "script.py"
    script.write_text(CODE, encoding="utf-8")
    process = subprocess.Popen([sys.executable, script, name, folder])
    for _ in range(6000):
        if len(list(folder.glob("*.npz"))) >= 4 or process.poll() is not None:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
    here: dict = {"__name__": "script"}
    exec(compile(CODE, str(script), "exec"), here)
    again, whole = here["run"](name, str(folder)), here["run"](name)
    np.testing.assert_array_equal(again.posterior.W, whole.posterior.W)
    np.testing.assert_array_equal(again.posterior.H, whole.posterior.H)
