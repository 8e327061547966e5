"""Questions that people ask of the model and of the machine, each answered by one command."""
