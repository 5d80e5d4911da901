"""Parley decides whether two frozen language models really communicate through a channel."""
