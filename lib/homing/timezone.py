# Local time by a POSIX rule such as "CET-1CEST,M3.5.0,M10.5.0/3", and the rule of a zone such as
# "Europe/Madrid": zones.txt, made by tools/timezones.py of the IANA's data. The rules are those of
# now; past years may have had others.

from time import gmtime, time

from micropython import const

_HOUR_S = const(3600)
_DAY_S = const(86400)
# From 0000-03-01 to the epoch of this port, and to that of a computer.
_DAYS_TO_2000 = const(730425)
_DAYS_TO_1970 = const(719468)
_ZONE_LEN_MAX = const(48)
_RULE_LEN_MAX = const(64)


def rule(zone):
    """The POSIX rule of an IANA zone. Raises ValueError if it is unknown."""
    if 0 < len(zone) <= _ZONE_LEN_MAX and not zone.startswith("="):
        wanted = zone.encode() + b"\n"
        found = None
        # Each rule, with "=" before it, then the zones that go by it.
        with open(__file__.rsplit("/", 1)[0] + "/zones.txt", "rb") as file:
            for line in file:
                if line[:1] == b"=":
                    found = line
                elif line == wanted:
                    return found[1:-1].decode()  # pyright: ignore[reportOptionalSubscript]
    raise ValueError("unknown time zone")


def check(posix):
    """Raise ValueError unless it is a rule that local_time() can follow."""
    if len(posix) > _RULE_LEN_MAX:
        raise ValueError("time zone rule too long")
    offset_s(posix, 0)


def local_time(node):
    """See homing.online.Me; node: a homing.node.Node."""
    posix = node.model.zone() if node.model else ""
    return at(posix, int(time()))


def at(posix, now):
    """(year, month, day, hour, minute, second, weekday, day of the year) where the rule holds, ""
    being UTC; now: seconds since the epoch. Raises ValueError."""
    return tuple(gmtime(now + offset_s(posix, now))[:8])


def offset_s(posix, now):
    """Seconds to add to UTC at that moment. Raises ValueError for what is no rule."""
    if not posix:
        return 0
    scan = _Scan(posix)
    scan.name()
    standard_s = -scan.time()
    if scan.end():
        return standard_s
    scan.name()
    summer_s = standard_s + _HOUR_S if scan.at(",") else -scan.time()
    scan.skip(",")
    year = gmtime(now + standard_s)[0]
    begins = scan.moment(year) - standard_s
    scan.skip(",")
    ends = scan.moment(year) - summer_s
    if not scan.end():
        raise ValueError("time zone rule")
    if begins < ends:
        return summer_s if begins <= now < ends else standard_s
    return standard_s if ends <= now < begins else summer_s


class _Scan:
    def __init__(self, text):
        self._text = text
        self._at = 0

    def end(self):
        return self._at == len(self._text)

    def at(self, char):
        return self._text[self._at : self._at + 1] == char

    def skip(self, char):
        if not self.at(char):
            raise ValueError("time zone rule")
        self._at += 1

    def name(self):
        start = self._at
        if self.at("<"):
            self._at = self._text.find(">", start) + 1
            if not self._at:
                raise ValueError("time zone rule")
        else:
            while self._text[self._at : self._at + 1].isalpha():
                self._at += 1
        if self._at - start < 3:
            raise ValueError("time zone rule")

    def number(self, largest):
        value, start = 0, self._at
        while self._text[self._at : self._at + 1].isdigit():
            value = 10 * value + int(self._text[self._at])
            self._at += 1
            if value > largest:
                break
        if self._at == start or value > largest:
            raise ValueError("time zone rule")
        return value

    def time(self):
        # [+-]hh[:mm[:ss]], in seconds; hours up to a week, as RFC 8536 extends it.
        sign = -1 if self.at("-") else 1
        if self.at("-") or self.at("+"):
            self._at += 1
        value = self.number(167) * _HOUR_S
        for unit in (60, 1):
            if self.at(":"):
                self._at += 1
                value += unit * self.number(59)
        return sign * value

    def moment(self, year):
        # Of a change, as if the clock showed UTC: Mm.w.d, Jn or n, and /time.
        if self.at("M"):
            self._at += 1
            month = self.number(12)
            self.skip(".")
            week = self.number(5)
            self.skip(".")
            weekday = self.number(6)  # 0 is Sunday
            if not month or not week:
                raise ValueError("time zone rule")
            day = _start(year, month)
            # gmtime() has Monday as 0.
            day += ((weekday - gmtime(day)[6] - 1) % 7 + 7 * (week - 1)) * _DAY_S
            following = _start(year + month // 12, month % 12 + 1)
            while day >= following:
                day -= 7 * _DAY_S
        elif self.at("J"):
            self._at += 1
            number = self.number(365)
            leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
            day = _start(year, 1) + (number - 1 + (leap and number >= 60)) * _DAY_S
        else:
            day = _start(year, 1) + self.number(365) * _DAY_S
        if self.at("/"):
            self._at += 1
            return day + self.time()
        return day + 2 * _HOUR_S


def _start(year, month):
    # Seconds since the epoch at which a month begins, by Howard Hinnant's days_from_civil.
    years = year - (month <= 2)
    days = 365 * years + years // 4 - years // 100 + years // 400
    days += (153 * ((month + 9) % 12) + 2) // 5
    return (days - (_DAYS_TO_2000 if gmtime(0)[0] == 2000 else _DAYS_TO_1970)) * _DAY_S
