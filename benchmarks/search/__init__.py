"""``edgevid search``: the most accurate network under a budget, and what a step up or down would cost."""
