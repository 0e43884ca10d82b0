"""Dudzian: a paper-trading daemon whose sessions can be re-executed from their signed log."""

__version__ = "0.1.0"
