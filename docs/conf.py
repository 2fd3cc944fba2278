"""Configuration of the documentation: `make docs` builds it."""

project = "VAC"
copyright = "the VAC contributors, Apache-2.0"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "VAC, the Virtual Atom Computer"
exclude_patterns = ["images"]
myst_heading_anchors = 3
# Assembly language has no lexer in Pygments.
highlight_language = "none"
