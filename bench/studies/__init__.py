"""Long simulations whose pages and results are committed: minutes to hours each, run from a checkout, not in the wheel."""
