"""Opening hours. An order has `[{"day": "monday", "ranges": ["09:00-18:00"]}]`, in the order of the week."""


def opening_hours(hours):
    """For the model: `monday 09:00-18:00`."""
    return [f"{each['day']} {', '.join(each['ranges']) or 'closed'}" for each in hours]


def rows(hours, speaks):
    """Day and times, as a visitor reads them. Empty when nothing is known."""

    def shown(span):
        if span == "00:00-24:00":
            return speaks.words.all_day
        return " – ".join(am_pm(time) if speaks.twelve_hours else time for time in span.split("-"))

    return [
        (speaks.words.days[each["day"]], ", ".join(map(shown, each["ranges"])) or speaks.words.closed)
        for each in hours
    ]


def am_pm(time):
    hour, minute = map(int, time.split(":"))
    half = "am" if hour % 24 < 12 else "pm"
    return f"{hour % 12 or 12}{f':{minute:02}' if minute else ''} {half}"
