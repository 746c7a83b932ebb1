"""The cost of regulation in the real fast loop at city scale: ``python -m tests.load.regulation_loop``.

The engine of the service, a full cycle every 10 s and two ticks in between, outcomes heard at once. Prints CPU
milliseconds; asserts nothing.
"""

import argparse
import sys
from datetime import UTC, datetime, timedelta

import numpy as np

from tests.load.fast_loop import END, START, T0, Loop, Stopwatch, _profiled
from vpp.domain.request import Direction, NoticeClass, Product, RequestDraft
from vpp.lab.bench.journal.city_rows import quote_of
from vpp.lab.twin.signals import regd_like

TICKS_S = (4.0, 4.0, 2.0)
"""Time before each tick and before the cycle that follows."""


class RegulatedLoop(Loop):
    """The fast loop with ticks between its cycles."""

    def regulate(self, capacity_kw: float) -> None:
        """Accept a request for regulation and give it its signal."""
        now = datetime.fromtimestamp(self.devices.now_s, tz=UTC)
        draft = RequestDraft(
            product=Product.REGULATION,
            direction=Direction.UP,
            target_kw=capacity_kw,
            area="city",
            start_at=START,
            end_at=END,
            notice_class=NoticeClass.FAST,
        )
        book = self.engine.book
        request, _ = book.submit(draft, key=None, actor="load", now=now, known_areas=())
        quote = quote_of(capacity_kw, start_at=START, expires_at=now + timedelta(minutes=5))
        book.quoted(request.id, quote, now)
        book.accept(request.id, offer=None, actor="load", now=now)
        signal = regd_like(seed=0, duration_s=(END - START).total_seconds(), step_s=4.0, start_s=START.timestamp())
        self.engine.regulation.portfolio.take(
            request.id, signal.time_s, signal.value, unit="value", now_s=now.timestamp()
        )

    def ticks(self) -> None:
        """Follow the signal between two cycles."""
        began_s = self.devices.now_s
        for seconds in TICKS_S[:-1]:
            began_s += seconds
            with self.watch("engine.tick"):
                batch = self.engine.tick(began_s)
            self.sent.append(len(batch))
            self.changed.append(len(batch))
            answers = self.devices.obey(batch)
            with self.watch("engine.outcomes"):
                self.engine.outcomes(answers)

    def follow(self, until: datetime) -> None:
        """Cycle and tick until then."""
        while self.devices.now_s < until.timestamp():
            self.cycle()
            if self.engine.regulation.following:
                self.ticks()


def main() -> None:
    """Follow a signal for some minutes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--capacity-mw", type=float, default=300.0)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    watch = Stopwatch()
    loop = RegulatedLoop(args.share, watch, 10.0)
    loop.run(T0 + timedelta(minutes=1))
    loop.regulate(1e3 * args.capacity_mw * args.share)
    loop.follow(START + timedelta(minutes=1))
    watch.show("until the first minute of the hold is over")
    loop.told()

    def hold() -> None:
        loop.follow(START + timedelta(minutes=1 + args.minutes))

    if args.profile:
        _profiled("hold", hold, loop)
        return
    hold()
    ticks = 1e3 * np.array(watch.spent["engine.tick"])
    watch.show("hold")
    loop.told()
    sys.stdout.write(f"tick p50 {np.median(ticks):.2f} p99 {np.percentile(ticks, 99):.2f} ms of CPU\n")


if __name__ == "__main__":
    main()
