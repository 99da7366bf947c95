"""From a clean clone to the end of the demo, as a newcomer does it; crates have been fetched before."""

import os
import shutil
import subprocess
import time

from ..bench import BUILDS_WITHIN_S, REPOSITORY
from ..process import Failed
from ..report import Row, at_most

PART = "build"
DEMO_WITHIN_S = 300


def measure(bench):
    """Once: it takes minutes, and uses all cores."""
    clone, target = os.path.join(bench.folder, "clone"), os.path.join(bench.folder, "clone-target")
    try:
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", REPOSITORY, clone], check=True, timeout=300)
        bench.say("build: a clean clone, which takes minutes")
        began = time.monotonic()
        bench.cargo("build", "--release", "--locked", folder=clone, target=target, within_s=BUILDS_WITHIN_S)
        built = time.monotonic() - began
        demo = os.path.join(target, "release", "quell")
        size = os.stat(demo).st_size / 1e6
        began = time.monotonic()
        done = subprocess.run(
            [demo, "demo"], cwd=clone, stdin=subprocess.DEVNULL, capture_output=True, timeout=DEMO_WITHIN_S, check=False
        )
        if done.returncode != 0:
            raise Failed(f"the demo ended with {done.returncode}")
        played = time.monotonic() - began
    except (subprocess.SubprocessError, OSError) as why:
        raise Failed(f"build: {why}") from why
    finally:
        shutil.rmtree(target, ignore_errors=True)
        shutil.rmtree(clone, ignore_errors=True)
    return [
        Row(PART, "clean build, profile release", "s", [built], {}, [], {"binary MB": [size]}),
        Row(PART, "clean clone → demo finished", "min", [(built + played) / 60], {}, [at_most(6)], {"demo s": [played]}),
    ]
