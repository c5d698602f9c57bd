"""Engines run programs; the generator draws for all of them."""
