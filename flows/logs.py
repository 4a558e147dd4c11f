"""Logging of a process: one line an event on standard error, for people or as JSON.

Tracebacks come without the values of local variables: those are what users wrote.
"""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import Processor


def set_up_logging() -> None:
    """Send structlog's and the standard library's records to standard error alike."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if sys.stderr.isatty():
        last: list[Processor] = [
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        ]
    else:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # What these cannot do they raise, and we say it; httpx2 logs URLs with their passwords.
    # (clickhouse_connect sets the level of `urllib3` itself, hence the logger beneath.)
    libraries = "clickhouse_connect", "urllib3.connectionpool", "pagerduty", "RapidOCR"
    for name in (*libraries, "httpx2"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # This one logs as an error what it raises too.
    logging.getLogger("slack_sdk").setLevel(logging.CRITICAL)
