"""Troubles of a device in plain words: the one vocabulary of cards, log, alerts and metrics.

A link states the troubles it knows of as samples of ``Quantity.TROUBLES``, a bit mask; the service adds those that it
alone can see (`SERVICE`). A trouble never excludes a device by itself: quality, plausibility and eligibility do.
"""

from collections.abc import Iterable
from enum import IntEnum
from types import MappingProxyType
from typing import NamedTuple


class Trouble(IntEnum):
    """One trouble of a device; the number is its bit in the mask and is never reused."""

    NOT_METERED = 0
    MEASURED_ONLY = 1
    CLOCK_OFF = 2
    REFUSES_TX_PROFILE = 3
    REFUSES_LIMITS = 4
    WHOLE_AMPERES_ONLY = 5
    WHOLE_WATTS_ONLY = 6
    DOES_NOT_WAKE = 7
    KEEPS_LIMIT_OFFLINE = 8
    FAULTED = 9
    OUT_OF_SERVICE = 10
    IMPLAUSIBLE_VALUES = 11
    NO_REVERSION_TIMER = 12
    POWER_FROM_REGISTER = 13
    NO_ENERGY_REGISTER = 14
    OWNERS_LIMIT = 15
    IGNORES_LIMITS = 16
    MALFORMED_MESSAGES = 17
    REBOOT_NEEDED = 18
    METER_FROZEN = 19
    BELOW_PROMISE = 20


class Words(NamedTuple):
    """Text of a trouble in both languages; ``{}`` stands for its detail."""

    english: str
    chinese: str


WORDS = MappingProxyType(
    {
        Trouble.NOT_METERED: Words("not metered", "无计量数据"),
        Trouble.MEASURED_ONLY: Words("measured only, takes no commands", "仅计量,不接受控制"),
        Trouble.CLOCK_OFF: Words("clock {}", "时钟{}"),
        Trouble.REFUSES_TX_PROFILE: Words("refuses TxProfile", "拒绝 TxProfile 充电曲线"),
        Trouble.REFUSES_LIMITS: Words("refuses limits", "拒绝限值"),
        Trouble.WHOLE_AMPERES_ONLY: Words("whole amperes only", "仅支持整数安培"),
        Trouble.WHOLE_WATTS_ONLY: Words("whole watts only", "仅支持整数瓦"),
        Trouble.DOES_NOT_WAKE: Words("does not wake after a pause", "暂停后车辆不恢复充电"),
        Trouble.KEEPS_LIMIT_OFFLINE: Words("keeps its limit offline", "离线后仍保持限值"),
        Trouble.FAULTED: Words("faulted", "设备故障"),
        Trouble.OUT_OF_SERVICE: Words("out of service", "停用"),
        Trouble.IMPLAUSIBLE_VALUES: Words("implausible values", "数据不合理"),
        Trouble.NO_REVERSION_TIMER: Words("keeps no reversion timer", "不支持限值自动恢复定时"),
        Trouble.POWER_FROM_REGISTER: Words("power derived from the energy register", "功率由电能表读数推算"),
        Trouble.NO_ENERGY_REGISTER: Words("no energy register", "无电能读数"),
        Trouble.OWNERS_LIMIT: Words("owner's own limit in force", "业主自设限值生效"),
        Trouble.IGNORES_LIMITS: Words("accepts limits and does not follow them", "接受限值但不执行"),
        Trouble.MALFORMED_MESSAGES: Words("malformed messages", "报文格式错误"),
        Trouble.REBOOT_NEEDED: Words("reboot needed for its settings", "设置需重启后生效"),
        Trouble.METER_FROZEN: Words("meter frozen", "计量数据冻结"),
        Trouble.BELOW_PROMISE: Words("below its promise for the transformer", "因变压器限额低于对车主的承诺"),
    }
)

SERVICE = frozenset(
    {
        Trouble.NOT_METERED,
        Trouble.IMPLAUSIBLE_VALUES,
        Trouble.METER_FROZEN,
        Trouble.IGNORES_LIMITS,
        Trouble.BELOW_PROMISE,
    }
)
"""Troubles that the service finds; every other comes from the link."""


def mask_of(troubles: Iterable[Trouble]) -> int:
    """Return the bit mask of some troubles."""
    mask = 0
    for trouble in troubles:
        mask |= 1 << trouble
    return mask


def troubles_of(mask: int) -> tuple[Trouble, ...]:
    """Return the troubles of a bit mask, unknown bits left out."""
    return tuple(trouble for trouble in Trouble if mask >> trouble & 1)


def clock_words(offset_s: float) -> Words:
    """Return a clock offset as detail of ``CLOCK_OFF``; ``offset_s`` is positive where the device's clock is slow."""
    minutes = abs(offset_s) / 60.0
    amount, unit, chinese = (f"{minutes:.0f}", "min", "分钟") if minutes >= 1.0 else (f"{abs(offset_s):.0f}", "s", "秒")
    slow = offset_s > 0.0
    return Words(f"{amount} {unit} {'slow' if slow else 'fast'}", f"{'慢' if slow else '快'}{amount}{chinese}")


def worded(trouble: Trouble, detail: Words | None = None) -> Words:
    """Return the text of a trouble with its detail in place."""
    words, more = WORDS[trouble], detail or Words("wrong", "不准")
    return Words(words.english.replace("{}", more.english), words.chinese.replace("{}", more.chinese))
