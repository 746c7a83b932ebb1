"""Notices of a quote: assumptions that its figures rest on."""

from vpp.domain.request import RequestDraft
from vpp.fleet.calendar import DayCalendar, local_day


def calendar_notices(calendar: DayCalendar, draft: RequestDraft) -> tuple[str, ...]:
    """Return a sentence for every year of the window whose holidays nobody has announced."""
    first, last = local_day(draft.start_at.timestamp()), local_day(draft.end_at.timestamp())
    return tuple(
        f"the holidays of {year} are not announced: statutory days are taken as holidays, which days bridge them and "
        "which weekends are worked is unknown (VPP_HOLIDAYS states them)"
        for year in calendar.unannounced(first, last)
    )
