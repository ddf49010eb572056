"""The exceptions a user sees. Every message is one line: what is wrong, then what to do next."""

from __future__ import annotations


class EdgevidError(Exception):
    """Bad input or an impossible request; a command prints it as one line and exits with status 2."""


class UnknownNameError(EdgevidError, KeyError):
    """A model, backend or target that is not registered."""

    def __str__(self) -> str:  # KeyError would print the repr
        return str(self.args[0])


class TargetError(EdgevidError, ValueError):
    """A target's TOML file that cannot be read, or says what cannot be."""


class WeightsError(EdgevidError, ValueError):
    """A checkpoint that is missing, corrupt, or of another network."""


class ExportError(EdgevidError):
    """The network could not be traced, compiled or written."""


class ParityError(ExportError):
    """The export does not compute what the eager network computes."""


class BundleError(EdgevidError):
    """A bundle that is missing, incomplete, changed, or of a newer schema."""


class VideoError(EdgevidError):
    """A video file or camera that cannot be read."""


class BackendError(EdgevidError):
    """A backend that is not usable here."""


class BenchmarkError(EdgevidError):
    """A measurement that could not be made."""


def first_line(error: BaseException) -> str:
    """What another library's error says, in one line; its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def os_error_line(error: OSError) -> str:
    """What went wrong with which file, and what to do."""
    where = f" '{error.filename}'" if error.filename else ""
    return f"{error.strerror or error}{where}: free space or choose a path you can read and write"
