"""Errors that a user can act on: what was expected, what was found, where, what to do; and what others say."""


class ParrotError(Exception):
    """Base of every error that is the user's to solve; shown without a stack trace."""


class ConfigError(ParrotError):
    """Raised when the configuration has faults; names all of them at once."""


class SourceError(ParrotError):
    """Raised when a source is missing, empty or of an unknown kind."""


class SessionError(ParrotError):
    """Raised when the Spark session at hand cannot do what is asked for."""


class WarehouseError(ParrotError):
    """Raised when the warehouse cannot be read or written, or a table does not fit its schema."""


class ModelError(ParrotError):
    """Raised when a model does not exist or its weights are missing or not what they should be."""


class StageError(ParrotError):
    """Raised when a stage cannot start or must stop: missing upstream, too many failed rows."""


class TrackingError(ParrotError):
    """Raised when the MLflow store cannot be reached."""


class ExportError(ParrotError):
    """Raised when a subset cannot be exported, or an export is not what its manifest says."""


_DEAD_WORKER = "Python worker exited unexpectedly (crashed)"


def sentence(error: Exception) -> str:
    """What an unexpected error says, in one line.

    An error in a Python worker comes wrapped in Java's; the worker's own words are the last line of its
    stack trace.
    """
    lines = [line for line in str(error).splitlines() if line.strip()] or [""]
    trace = next((place for place, line in enumerate(lines) if line.startswith("Traceback")), None)
    if trace is not None:
        told = [line for line in lines[trace + 1 :] if not line[0].isspace() and ": " in line]
        if told:
            return told[0][:1000]
    first = next((line.strip() for line in lines if "Exception" in line or "Error" in line), lines[0])
    if _DEAD_WORKER in str(error):
        return (
            f"{_DEAD_WORKER} at each attempt: the machine may lack memory for so many (fewer: --set "
            f"'session.master=local[1,2]') or for large images (--set spot_text.canvas_size=1280). {first[:500]}"
        )
    return f"{type(error).__name__}: {first[:1000]}"
