"""Our service beside others: the same texts, on the same machine, by turns in one run."""
