"""What pyproject.toml cannot say: the config files beside the package are installed inside it, as `vdm_jax.configs`."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["vdm_jax*"]), "vdm_jax.configs"],
    package_dir={"vdm_jax.configs": "configs"},
)
