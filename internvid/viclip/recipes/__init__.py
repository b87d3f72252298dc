"""The training recipes by name."""

from internvid.viclip.recipe import Recipe
from internvid.viclip.recipes.viclip_b16 import VICLIP_B16
from internvid.viclip.recipes.viclip_l14 import VICLIP_L14
from internvid.viclip.recipes.viclip_tiny import VICLIP_TINY

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (VICLIP_L14, VICLIP_B16, VICLIP_TINY)}
