"""Errors that a user can act on: what was expected, what was found, where, what to do."""


class ParrotError(Exception):
    """Base of every error that is the user's to solve; shown without a stack trace."""


class ConfigError(ParrotError):
    """Raised when the configuration has faults; names all of them at once."""


class SourceError(ParrotError):
    """Raised when a source is missing, empty or of an unknown kind."""


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
