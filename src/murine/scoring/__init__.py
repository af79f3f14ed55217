"""Metrics, data of sites, held-out layer choice and scores."""
