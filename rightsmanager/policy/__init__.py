"""What to grant: one frozen Grant for each licence, and the licence's objects that say it."""
