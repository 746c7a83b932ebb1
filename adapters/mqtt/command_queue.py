"""Commands that wait and commands under way, without input or output."""

from dataclasses import dataclass

from adapters.mqtt.payload import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedCommand:
    """A command with its row and site."""

    row: int
    site: str
    command: Command


class CommandQueue:
    """Keeps at most one instruction a row under way and at most one waiting behind it.

    Args:
        ack_timeout_s: How long a gateway may take to answer, in the clock's seconds.
    """

    def __init__(self, ack_timeout_s: float) -> None:
        self._ack_timeout_s = ack_timeout_s
        self._waiting: dict[int, QueuedCommand] = {}
        self._under_way: dict[int, tuple[QueuedCommand, float]] = {}  # by command id, earliest deadline first
        self._busy: set[int] = set()
        self.highest_id = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._under_way)

    def add(self, queued: QueuedCommand) -> QueuedCommand | None:
        """Add a command; return the waiting one of the same row that it replaces."""
        replaced = self._waiting.pop(queued.row, None)
        self._waiting[queued.row] = queued
        self.highest_id = max(self.highest_id, queued.command.id)
        return replaced

    def take_due(self, now_s: float) -> tuple[list[QueuedCommand], list[QueuedCommand]]:
        """Return the commands to send now, and those that are dropped because their lease has ended."""
        free = [queued for row, queued in self._waiting.items() if row not in self._busy]
        going = [queued for queued in free if queued.command.until_s > now_s]
        ended = [queued for queued in free if queued.command.until_s <= now_s]
        for queued in free:
            del self._waiting[queued.row]
        for queued in going:
            self._busy.add(queued.row)
            self._under_way[queued.command.id] = (queued, now_s + self._ack_timeout_s)
        return going, ended

    def settle(self, command_id: int, site: str, device: str) -> QueuedCommand | None:
        """Take an answer; ``None`` where no command of that id is under way to that device."""
        queued, _ = self._under_way.get(command_id, (None, 0.0))
        if queued is None or queued.site != site or queued.command.device != device:
            return None
        self._end(queued)
        return queued

    def is_under_way(self, command_id: int) -> bool:
        """Tell whether an answer to that command is still awaited."""
        return command_id in self._under_way

    def overdue(self, now_s: float) -> list[QueuedCommand]:
        """Remove and return the commands that should have been answered by now."""
        late = []
        for queued, deadline_s in self._under_way.values():
            if deadline_s > now_s:
                break
            late.append(queued)
        for queued in late:
            self._end(queued)
        return late

    def give_up(self, site: str | None = None) -> list[QueuedCommand]:
        """Remove and return every command for one site, or for all."""
        lost = [queued for queued, _ in self._under_way.values() if site in (None, queued.site)]
        for queued in lost:
            self._end(queued)
        waiting = [queued for queued in self._waiting.values() if site in (None, queued.site)]
        for queued in waiting:
            del self._waiting[queued.row]
        return lost + waiting

    def _end(self, queued: QueuedCommand) -> None:
        del self._under_way[queued.command.id]
        self._busy.discard(queued.row)
