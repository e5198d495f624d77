"""Screens, the viewer and charts: they show what services return."""
