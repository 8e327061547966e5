"""Chinese and Japanese figures whose words depend on what stands behind them: "2个", "4時", "9月20日", "3本"."""

import re

from serve_app.text.reading import japanese
from serve_app.text.reading.figures import spoken

_START = r"(?<![\d.,:/-])"
_MONTH = re.compile(rf"{_START}(\d{{1,2}}) ?月(?: ?(\d{{1,2}}) ?日)?(?!間)")
_HOUR = re.compile(rf"{_START}(\d{{1,2}}) ?時(?!間)(?: ?(\d{{1,2}}) ?分)?")
_COUNT = re.compile(rf"{_START}(\d{{1,2}}) ?([{japanese.COUNTERS}])(?!目)")
_CHINESE_TWO = re.compile(
    rf"{_START}2 ?(?=[个位只本张天次种件条块辆座杯年岁点层间名匹双对家份句米元万千亿](?!月)|小时|公里|公斤|分钟)"
)


def say_counted(text: str, language: str) -> str:
    if language == "zh":
        return _CHINESE_TWO.sub(spoken("两"), text)
    if language != "ja":
        return text
    text = _HOUR.sub(_hour, _MONTH.sub(_month, text))
    return _COUNT.sub(lambda match: spoken(japanese.count(int(match[1]), match[2])), text)


def _month(match: re.Match[str]) -> str:
    month, day = int(match[1]), int(match[2] or 1)
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return match[0]
    return spoken(japanese.month(month) + (japanese.day(day) if match[2] else ""))


def _hour(match: re.Match[str]) -> str:
    return spoken(japanese.hour(int(match[1])) + (japanese.minute(int(match[2])) if match[2] else ""))
