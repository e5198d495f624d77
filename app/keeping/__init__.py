"""Keeping an installation: backup, restore, doctor."""
