"""What the ground tells the apps above it.

`commands_ended` is sent after commit with `commands: list[Command]`, all in a final state. It is a hint that a crash
may lose: a listener also looks for its own unfinished work in its sweep, by `Command.owner`.
"""

from django.dispatch import Signal

commands_ended = Signal()
