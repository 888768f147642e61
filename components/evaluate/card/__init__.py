"""The model card (Mitchell et al., 2019): one page on what the model is for, how good it is and what it cannot do.

Nothing on it depends on the time or place of its making, so that the same inputs give the same package.
"""

from components.evaluate.card.background import Background
from components.evaluate.card.page import card

__all__ = ["Background", "card"]
