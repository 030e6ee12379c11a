"""What the ground tells the apps above it.

`commands_ended` is sent after commit with `commands: list[Command]`, all in a final state. It is a hint that a crash
may lose: a listener also looks for its own unfinished work in its sweep, by `Command.owner`.

`forgetting_commands` is sent with `commands: list[Command]`, all over for longer than they are kept. A listener returns
the ids of those that something of its own still needs, and these are kept for now.
"""

from django.dispatch import Signal

commands_ended = Signal()
forgetting_commands = Signal()
