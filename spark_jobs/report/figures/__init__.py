"""Drawings of the report: plain data in, inline SVG out."""
