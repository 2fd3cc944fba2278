"""Files that outlive a crash."""
