"""Data at the door: arrays checked, tables read, values prepared for training."""
