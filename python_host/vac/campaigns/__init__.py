"""Campaigns: long, seeded comparisons of one engine with another."""
