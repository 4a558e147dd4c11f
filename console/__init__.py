"""What people look at: the demo's report, the review queue and the live dashboard."""
