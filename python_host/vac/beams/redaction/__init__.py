"""Redaction: what is taken out of events before they leave, and the account of it."""
