"""What can keep `up` from starting; each message is one line that names the fix."""

from scheduler_project.toolkit.errors import ConfigurationError


class CannotStart(ConfigurationError):
    """The system cannot start here."""


class PortBusy(CannotStart):
    """Another program listens on the port."""


class AlreadyUp(CannotStart):
    """Another `up` runs in the same data folder."""


class FolderNotWritable(CannotStart):
    """The data folder cannot be written."""


class ServerUnreachable(CannotStart):
    """A server named in the environment does not answer."""
