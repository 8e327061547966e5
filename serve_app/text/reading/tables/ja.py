"""Japanese."""

from serve_app.text.reading import japanese
from serve_app.text.reading.words import Words, currencies, pairs, units

WORDS = Words(
    point="点",
    minus="マイナス",
    to="から",
    over="分の",
    group=",",
    percent="{n}パーセント",
    signs=pairs(
        "& = アンド; @ = アットマーク; # = シャープ; % = パーセント; $ = ドル; £ = ポンド; € = ユーロ; ° = 度; "
        "/ = スラッシュ"
    ),
    address=pairs(
        ". = ドット; / = スラッシュ; - = ハイフン; _ = アンダースコア; @ = アットマーク; : = コロン; "
        "? = クエスチョンマーク; "
        "& = アンド; # = シャープ; = = イコール; + = プラス; ~ = チルダ; % = パーセント"
    ),
    fractions=pairs("1/2 = 二分の一; 1/3 = 三分の一; 2/3 = 三分の二; 1/4 = 四分の一; 3/4 = 四分の三"),
    months=tuple(japanese.month(number) for number in range(1, 13)),
    month_names={},
    date="{year}年{month}{day}",
    day_and_month="{month}{day}",
    clock="{h}{m}",
    full_hour="{h}",
    units=units(
        "km = キロメートル; m = メートル; cm = センチメートル; mm = ミリメートル; kg = キログラム; g = グラム; "
        "mg = ミリグラム; t = トン; "
        "l = リットル; L = リットル; ml = ミリリットル; mL = ミリリットル; km/h = キロメートル毎時; "
        "m/s = メートル毎秒; h = 時間; min = 分; "
        "s = 秒; ms = ミリ秒; °C = 度; 度C = 度; °F = 華氏度; ° = 度; km2 = 平方キロメートル; m2 = 平方メートル; "
        "m3 = 立方メートル; "
        "Hz = ヘルツ; kHz = キロヘルツ; MHz = メガヘルツ; GHz = ギガヘルツ; W = ワット; kW = キロワット; "
        "kWh = キロワット時; V = ボルト; "
        "kB = キロバイト; KB = キロバイト; MB = メガバイト; GB = ギガバイト; TB = テラバイト"
    ),
    currencies=currencies(
        "¥ = 円; $ = ドル + セント; € = ユーロ + セント; £ = ポンド + ペンス; ₩ = ウォン; ₹ = ルピー; ₺ = リラ; "
        "₽ = ルーブル; "
        "zł = ズウォティ; Kč = コルナ; Ft = フォリント; CHF = スイスフラン"
    ),
    scales=("万", "百万", "千万", "億"),
    cents="",
    abbreviations={},
)
