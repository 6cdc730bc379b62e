"""Reads the iCalendar part of a mail with Debian's python3-icalendar, and prints what it finds as JSON.

Each event is told with its properties and, for a series, the wall-clock time and the moment of each conference: once by the system's
time zones and once by the VTIMEZONE that came with the file.
"""

import email
import email.policy
import json
import sys
from zoneinfo import ZoneInfo

import icalendar
from dateutil.rrule import rruleset, rrulestr


def calendar_part(raw: bytes):
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    parts = [part for part in mail.walk() if part.get_content_type() == "text/calendar"]
    return mail, parts[0]


def told(event, zone):
    start = event.decoded("dtstart").replace(tzinfo=None)
    rules = rruleset()
    if "rrule" in event:
        rules.rrule(rrulestr(event["rrule"].to_ical().decode(), dtstart=start))
    else:
        rules.rdate(start)
    left_out = event.get("exdate", [])
    for dates in left_out if isinstance(left_out, list) else [left_out]:
        for one in dates.dts:
            rules.exdate(one.dt.replace(tzinfo=None))
    moments = []
    for local in rules:
        aware = zone.localize(local) if hasattr(zone, "localize") else local.replace(tzinfo=zone)
        moments.append([local.isoformat(), str(int(aware.timestamp()))])
    return moments


mail, part = calendar_part(sys.stdin.buffer.read())
text = part.get_content()
calendar = icalendar.Calendar.from_ical(text if isinstance(text, str) else text.decode())
zone = next(c for c in calendar.walk("VTIMEZONE"))
name = str(zone["tzid"])
events = []
for event in calendar.walk("VEVENT"):
    events.append(
        {
            "uid": str(event["uid"]),
            "sequence": int(event["sequence"]),
            "summary": str(event["summary"]),
            "status": str(event["status"]),
            "organizer": str(event["organizer"]),
            "attendee": str(event["attendee"]),
            "recurrence_id": event.decoded("recurrence-id").replace(tzinfo=None).isoformat() if "recurrence-id" in event else None,
            "by_system": told(event, ZoneInfo(name)),
            "by_file": told(event, zone.to_tz()),
            "minutes": int((event.decoded("dtend") - event.decoded("dtstart")).total_seconds() / 60),
        }
    )
print(
    json.dumps(
        {
            "subject": str(mail["subject"]),
            "method": str(calendar["method"]),
            "type": part["content-type"].params.get("method"),
            "events": events,
            "files": [p.get_filename() for p in mail.walk() if p.get_filename()],
        }
    )
)
