"""How figures are shown: rows of medians, and ratios against their floors."""

from dataclasses import dataclass, field


@dataclass
class Report:
    """What was measured, in order; `missed` counts what fell short."""

    floors: list = field(default_factory=list)

    @property
    def missed(self):
        return sum(not met for _, _, _, met in self.floors)

    def table(self, title, head, rows):
        widths = [max(len(str(row[column])) for row in [head, *rows]) for column in range(len(head))]
        print(f"\n{title}")
        for row in [head, *rows]:
            cells = [str(cell).ljust(width) if not column else str(cell).rjust(width)
                     for column, (cell, width) in enumerate(zip(row, widths, strict=True))]  # fmt: skip
            print("  " + "  ".join(cells).rstrip())

    def floor(self, what, measured, allowed, unit=""):
        """A figure that must be at most `allowed`."""
        met = measured <= allowed
        self.floors.append((what, f"{measured:.2f}{unit}", f"<= {allowed:g}{unit}", met))
        self.say(self.floors[-1])

    def at_least(self, what, measured, wanted):
        met = measured >= wanted
        self.floors.append((what, f"{measured:g}", f">= {wanted:g}", met))
        self.say(self.floors[-1])

    @staticmethod
    def say(row):
        what, measured, wanted, met = row
        print(f"  {'ok  ' if met else 'MISS'}  {what}: {measured} ({wanted})", flush=True)

    def summary(self):
        rows = [(what, measured, wanted, "ok" if met else "MISS") for what, measured, wanted, met in self.floors]
        self.table("All floors", ("what", "measured", "floor", ""), rows)
