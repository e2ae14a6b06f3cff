"""One tool for latent space, counterfactuals and what changed: a thin view over a `Workbench`."""

from histoxplain.widgets.explorer.explorer import Explorer

__all__ = ["Explorer"]
