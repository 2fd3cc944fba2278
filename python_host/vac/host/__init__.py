"""The host beside a machine: it answers what the machine asks, serves its pages and records what went in."""
