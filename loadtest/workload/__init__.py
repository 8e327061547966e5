"""What users ask a speech service for, as a model with a seed. Knows no driver and no clock; standard library only."""
