"""Runs graphs by the clock (Quartz cron) or at once; a run is a graph build."""
