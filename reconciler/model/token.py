"""`{{ name }}`: where a parameter stands in a text. One spelling for what replaces it and for what warns of it."""

import re

TOKEN = re.compile(r"\{\{[ \t\n\f\r]*([a-zA-Z0-9]+)[ \t\n\f\r]*\}\}")
"""Blanks as SSM's agent takes them: ASCII's. What only looks like a blank (U+00A0) makes it text like any other."""
