"""The profile files: your own YAML files, and those that ship with the package."""

from pathlib import Path

from ..errors import InputError
from .knobs import suggestion

PROFILES = Path(__file__).parent / "profiles"


def find_profile(name: str | Path) -> Path:
    """File of a profile: a path, or the name of one that ships with the package."""
    path = Path(name).expanduser()
    if path.suffix in (".yaml", ".yml"):
        if path.is_file():
            return path
        raise InputError(
            f"no profile file {path}; give the path of a YAML file or one of: {', '.join(shipped_profiles())}"
        )
    if str(name) not in shipped_profiles():
        known = shipped_profiles()
        raise InputError(f"unknown profile '{name}'{suggestion(str(name), known)}; known: {', '.join(known)}")
    return PROFILES / f"{name}.yaml"


def shipped_profiles() -> list[str]:
    """Names of the profiles that ship with the package."""
    return sorted(p.stem for p in PROFILES.glob("*.yaml"))
