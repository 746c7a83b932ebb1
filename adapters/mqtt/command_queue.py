"""Which instructions wait and which are under way; no input or output, so that every rule can be read and tested."""

from dataclasses import dataclass

from adapters.mqtt.payload import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedCommand:
    """A command and whom it is for."""

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

    def add(self, errand: QueuedCommand) -> QueuedCommand | None:
        """Let ``errand`` wait; return the one of the same row that it replaces."""
        replaced = self._waiting.pop(errand.row, None)
        self._waiting[errand.row] = errand
        self.highest_id = max(self.highest_id, errand.command.id)
        return replaced

    def leave(self, now_s: float) -> tuple[list[QueuedCommand], list[QueuedCommand]]:
        """Return what goes out now and what is dropped because its lease has ended."""
        free = [errand for row, errand in self._waiting.items() if row not in self._busy]
        going = [errand for errand in free if errand.command.until_s > now_s]
        ended = [errand for errand in free if errand.command.until_s <= now_s]
        for errand in free:
            del self._waiting[errand.row]
        for errand in going:
            self._busy.add(errand.row)
            self._under_way[errand.command.id] = (errand, now_s + self._ack_timeout_s)
        return going, ended

    def settle(self, command_id: int, site: str, device: str) -> QueuedCommand | None:
        """Take an answer in; ``None`` where nothing of that number is under way to that device."""
        errand, _ = self._under_way.get(command_id, (None, 0.0))
        if errand is None or errand.site != site or errand.command.device != device:
            return None
        self._end(errand)
        return errand

    def is_under_way(self, command_id: int) -> bool:
        """Tell whether an answer to that command is still awaited."""
        return command_id in self._under_way

    def overdue(self, now_s: float) -> list[QueuedCommand]:
        """Take out and return what should have been answered by now."""
        late = []
        for errand, deadline_s in self._under_way.values():
            if deadline_s > now_s:
                break
            late.append(errand)
        for errand in late:
            self._end(errand)
        return late

    def give_up(self, site: str | None = None) -> list[QueuedCommand]:
        """Take out and return everything for one site, or for all."""
        lost = [errand for errand, _ in self._under_way.values() if site in (None, errand.site)]
        for errand in lost:
            self._end(errand)
        waiting = [errand for errand in self._waiting.values() if site in (None, errand.site)]
        for errand in waiting:
            del self._waiting[errand.row]
        return lost + waiting

    def _end(self, errand: QueuedCommand) -> None:
        del self._under_way[errand.command.id]
        self._busy.discard(errand.row)
