"""What costs more than a run should: a model as plain Python source."""
