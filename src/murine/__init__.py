"""murine: how mouse-like is a deep network, and does making it more mouse-like make it more robust?"""
