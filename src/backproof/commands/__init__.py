"""What the commands of `cli` are made of: how they talk, the options they share, and the command ``train``."""
