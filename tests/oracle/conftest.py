"""The script that makes the frozen values needs PyTorch, so the tests leave it out."""

collect_ignore = ["make_torch_values.py"]
