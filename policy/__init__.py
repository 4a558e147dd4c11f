"""What is allowed: taxonomy, thresholds, fail modes, quotas, rules and hash lists."""
