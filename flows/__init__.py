"""What runs: pure builders of dataflows, and the settings that they are built from."""
