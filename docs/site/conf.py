"""Sphinx's settings for `make docs-site`; docs/site/build lays the pages that it reads."""

project = "graceful.wsgi"
author = copyright = "The graceful.wsgi contributors"
extensions = ["myst_parser", "sphinx_antsibull_ext"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
html_theme = "sphinx_ansible_theme"
html_theme_options = {"vcs_pageview_mode": "view", "topbar_links": {}, "documentation_home_url": "https://github.com/graceful/wsgi"}
html_show_sphinx = False
smartquotes = False
myst_heading_anchors = 4
pygments_style = "ansible"
# References to pages of Ansible's own documentation, which is not asked while this is built; links are checked by the
# script after the build.
suppress_warnings = ["ref.ref"]
