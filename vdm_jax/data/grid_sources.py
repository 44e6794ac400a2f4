"""Where a grid of sprites may come from."""

from vdm_jax.base.errors import UserError, choose
from vdm_jax.data.dsprites import load_dsprites
from vdm_jax.data.sprites import SpriteGrid, load_sprites


def _rendered(name: str, data_dir: str | None) -> SpriteGrid:
    if data_dir:
        raise UserError(f"data.dir={data_dir!r} is no setting of source='sprites', which are rendered; leave it unset")
    return load_sprites(name)


# Each: (name, data_dir) -> SpriteGrid; the name is that of a grid, or of a file or TFDS build of dSprites.
GRID_SOURCES = {"sprites": _rendered, "dsprites": load_dsprites}


def load_grid(source: str, name: str, data_dir: str | None) -> SpriteGrid:
    """The grid that `source`, one of `GRID_SOURCES`, has under that name."""
    return choose("data source", source, GRID_SOURCES)(name, data_dir or None)
