"""Process titles, as ps shows them: ``greenserve: master [shop]``.  They need the package setproctitle."""

from __future__ import annotations

PREFIX = "greenserve: "


def title_of(role: str, name: str | None) -> str:
    """Return the title of a process, such as ``greenserve: worker 2 [shop]``."""
    return f"{PREFIX}{role} [{name}]" if name else PREFIX + role


def set_title(text: str) -> bool:
    """Make `text` the title of this process; return whether that was possible.

    Without the package nothing happens: a process has to overwrite its arguments in memory for it.
    """
    try:
        import setproctitle  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return False
    setproctitle.setproctitle(text)
    return True
