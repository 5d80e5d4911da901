"""A channel of plain bits for Parley, and an objective that keeps them balanced."""
