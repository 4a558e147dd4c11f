"""`breakwater feedback`: what people say, from Kafka into the store and to true labels."""

from __future__ import annotations

from datetime import timedelta

from flows.feedback import feedback_job
from flows.job import run
from flows.settings import load_settings


def run_feedback() -> None:
    """The feedback flow on Kafka until it is told to stop; its state stands beside the job's."""
    settings = load_settings()
    job = feedback_job(settings)
    recovery = settings.recovery_dir
    run(
        job,
        epoch=timedelta(seconds=settings.epoch_seconds),
        recovery_dir=recovery.with_name(f"{recovery.name}-feedback") if recovery else None,
    )
    job.store.close()
