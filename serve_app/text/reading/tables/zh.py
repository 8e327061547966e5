"""Chinese."""

from serve_app.text.reading.words import Words, currencies, pairs, units

_NUMBERS = ["一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "十一", "十二"]

WORDS = Words(
    point="点",
    minus="负",
    to="到",
    over="分之",
    group=",",
    percent="百分之{n}",
    signs=pairs("& = 和; @ = 艾特; # = 井号; % = 百分之; $ = 美元; £ = 英镑; € = 欧元; ° = 度; / = 斜杠"),
    address=pairs(
        ". = 点; / = 斜杠; - = 杠; _ = 下划线; @ = 艾特; : = 冒号; ? = 问号; & = 和; # = 井号; = = 等于; "
        "+ = 加; ~ = 波浪号; % = 百分号"
    ),
    fractions=pairs("1/2 = 二分之一; 1/3 = 三分之一; 2/3 = 三分之二; 1/4 = 四分之一; 3/4 = 四分之三"),
    months=tuple(f"{number}月" for number in _NUMBERS),
    month_names={},
    date="{year}年{month}{day}日",
    day_and_month="{month}{day}日",
    clock="{h}点{m}分",
    full_hour="{h}点",
    units=units(
        "km = 公里; m = 米; cm = 厘米; mm = 毫米; kg = 公斤; g = 克; mg = 毫克; t = 吨; l = 升; L = 升; ml = 毫升; "
        "mL = 毫升; "
        "km/h = 公里每小时; m/s = 米每秒; h = 小时; min = 分钟; s = 秒; ms = 毫秒; °C = 摄氏度; °F = 华氏度; ° = 度; "
        "km2 = 平方公里; m2 = 平方米; m3 = 立方米; Hz = 赫兹; kHz = 千赫; MHz = 兆赫; GHz = 吉赫; W = 瓦; kW = 千瓦; "
        "kWh = 千瓦时; V = 伏; kB = 千字节; MB = 兆字节; GB = 吉字节; TB = 太字节"
    ),
    currencies=currencies(
        "¥ = 元; $ = 美元; € = 欧元; £ = 英镑; ₩ = 韩元; ₹ = 卢比; ₺ = 里拉; ₽ = 卢布; zł = 兹罗提; Kč = 克朗; "
        "Ft = 福林; CHF = 瑞士法郎"
    ),
    scales=("万", "百万", "千万", "亿"),
    abbreviations={},
)
