"""Devices as the host answers for them; engines know nothing of these."""
