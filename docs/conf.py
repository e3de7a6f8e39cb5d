"""How Sphinx builds the documentation: `make docs`, where a warning is an error."""

from importlib.metadata import version as version_of

project = "peculiar"
author = "The peculiar contributors"
project_copyright = "The peculiar contributors"
version = release = version_of("peculiar")

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
# A signature gives a class by its bare name, which two modules may share.
suppress_warnings = ["ref.python"]

html_theme = "furo"
html_title = f"peculiar {version}"
html_theme_options = {"navigation_with_keys": True}

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_default_options = {"members": True, "member-order": "bysource"}
numpydoc_show_class_members = False  # autodoc lists them
