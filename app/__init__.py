"""Multimedia Account: accounts, media catalogue and newsletter of a broadcast-media portal."""
