"""Insight: why a program is slow or stuck. Each module is one question; none changes what a program does."""
