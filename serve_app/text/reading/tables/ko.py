"""Korean."""

from serve_app.text.reading.words import Words, currencies, pairs, units

_MONTHS = "일월 이월 삼월 사월 오월 유월 칠월 팔월 구월 시월 십일월 십이월"

WORDS = Words(
    point="점",
    minus="마이너스",
    to="에서",
    over="분의",
    group=",",
    percent="{n} 퍼센트",
    signs=pairs("& = 앤드; @ = 골뱅이; # = 샵; % = 퍼센트; $ = 달러; £ = 파운드; € = 유로; ° = 도; / = 슬래시"),
    address=pairs(
        ". = 점; / = 슬래시; - = 대시; _ = 밑줄; @ = 골뱅이; : = 콜론; ? = 물음표; & = 앤드; # = 샵; = = 는; "
        "+ = 더하기; ~ = 물결표; % = 퍼센트"
    ),
    fractions=pairs("1/2 = 이분의 일; 1/3 = 삼분의 일; 2/3 = 삼분의 이; 1/4 = 사분의 일; 3/4 = 사분의 삼"),
    months=tuple(_MONTHS.split()),
    month_names={},
    date="{year}년 {month} {day}일",
    day_and_month="{month} {day}일",
    clock="{h} 시 {m} 분",
    full_hour="{h} 시",
    units=units(
        "km = 킬로미터; m = 미터; cm = 센티미터; mm = 밀리미터; kg = 킬로그램; g = 그램; mg = 밀리그램; t = 톤; "
        "l = 리터; L = 리터; "
        "ml = 밀리리터; mL = 밀리리터; km/h = 킬로미터 매시; m/s = 미터 매초; h = 시간; min = 분; s = 초; "
        "ms = 밀리초; °C = 도; "
        "°F = 화씨 도; ° = 도; km2 = 제곱킬로미터; m2 = 제곱미터; m3 = 세제곱미터; Hz = 헤르츠; kHz = 킬로헤르츠; "
        "MHz = 메가헤르츠; "
        "GHz = 기가헤르츠; W = 와트; kW = 킬로와트; kWh = 킬로와트시; V = 볼트; kB = 킬로바이트; MB = 메가바이트; "
        "GB = 기가바이트; "
        "TB = 테라바이트"
    ),
    currencies=currencies(
        "₩ = 원; $ = 달러 + 센트; € = 유로 + 센트; £ = 파운드 + 펜스; ¥ = 엔; ₹ = 루피; ₺ = 리라; ₽ = 루블; "
        "zł = 즈워티; "
        "Kč = 코루나; Ft = 포린트; CHF = 스위스 프랑"
    ),
    scales=("만", "백만", "천만", "억", "조"),
    abbreviations={},
)
