"""What flows: the messages of Breakwater, their one decode and their one encode."""
