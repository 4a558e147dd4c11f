"""What people type."""

import os

# Scaling is by processes: a thread pool in each for small matrices only makes them wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")
