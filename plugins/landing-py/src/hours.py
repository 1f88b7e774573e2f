"""Opening hours.

The order contains `[{"day": "monday", "ranges": ["09:00-18:00"]}]`, sorted from Monday to Sunday;
a day without ranges is closed.
"""

from words import DAYS


def opening_hours(hours):
    """Text for the prompt: `monday 09:00-18:00`."""
    return [f"{each['day']} {', '.join(each['ranges']) or 'closed'}" for each in hours]


def rows(hours, lang):
    """The rows of the table: days and a list of times. Consecutive days with the same hours share a
    row. Empty if the order has no hours.
    """
    # A week that is read from right to left begins on Sunday.
    week = DAYS[6:] + DAYS[:6] if lang.right_to_left else DAYS
    known = {each["day"]: each["ranges"] for each in hours}
    groups = []
    previous = None
    for day in week:
        ranges = known.get(day)
        if ranges is not None and ranges == previous:
            groups[-1][0].append(day)
        elif ranges is not None:
            groups.append(([day], ranges))
        previous = ranges
    words = lang.words
    return [
        (joined(days, words), [time(each, lang) for each in ranges] or [words.closed])
        for days, ranges in groups
    ]


def joined(days, words):
    pattern = {1: "{}", 2: words.days_two}.get(len(days), words.days_span)
    text = pattern.format(words.days[days[0]], words.days[days[-1]])
    return text[0].upper() + text[1:]


def time(span, lang):
    if span == "00:00-24:00":
        return lang.words.all_day
    opens, closes = span.split("-")
    match lang.code:
        case "en":
            return f"{am_pm(opens)} – {am_pm(closes)}"
        case "ja":
            return f"{opens.removeprefix('0')}～{closes.removeprefix('0')}"
        case _:
            return f"{opens} – {closes}"


def am_pm(time):
    hour, minute = map(int, time.split(":"))
    half = "am" if hour % 24 < 12 else "pm"
    return f"{hour % 12 or 12}{f':{minute:02}' if minute else ''} {half}"
