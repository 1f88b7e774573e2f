"""Opening hours.

The order contains `[{"day": "monday", "ranges": ["09:00-18:00"]}]`, sorted from Monday to Sunday;
a day without ranges is closed.
"""


def opening_hours(hours):
    """Text for the prompt: `monday 09:00-18:00`."""
    return [f"{each['day']} {', '.join(each['ranges']) or 'closed'}" for each in hours]


def rows(hours, lang):
    """Rows of the table: day and times. Empty if the order has no hours."""

    def shown(span):
        if span == "00:00-24:00":
            return lang.words.all_day
        return " – ".join(am_pm(time) if lang.twelve_hours else time for time in span.split("-"))

    return [
        (lang.words.days[each["day"]], ", ".join(map(shown, each["ranges"])) or lang.words.closed)
        for each in hours
    ]


def am_pm(time):
    hour, minute = map(int, time.split(":"))
    half = "am" if hour % 24 < 12 else "pm"
    return f"{hour % 12 or 12}{f':{minute:02}' if minute else ''} {half}"
