"""`make soak`: the job killed, cut off and starved under load, and what became of every post."""
