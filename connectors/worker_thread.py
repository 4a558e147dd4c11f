"""The engine's worker thread, as the interpreter sees it."""

from __future__ import annotations

import ctypes
import threading

_kept = threading.local()


def keep_thread_state() -> None:
    """Let the calling thread, one of the engine, stay known to Python between its calls.

    Bytewax's worker is a thread of Rust: Python makes a state for it at each call of a step and
    throws it away after it, 40 times a batch, with memory that is mapped and unmapped and with
    all that a library has put into `threading.local`, such as Hyperscan's scratch space. What is
    ensured once more than it is released stays: PyGILState_Ensure, in the C API's manual.
    """
    if not getattr(_kept, "state", False):
        ctypes.pythonapi.PyGILState_Ensure()
        _kept.state = True
