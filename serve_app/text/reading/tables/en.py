"""English."""

from serve_app.text.reading.words import Words, currencies, month_names, pairs, units

_MONTHS = "January February March April May June July August September October November December"

WORDS = Words(
    point="point",
    minus="minus",
    to="to",
    over="over",
    group=",",
    percent="{n} percent",
    signs=pairs("& = and; @ = at; # = hash; % = percent; $ = dollars; £ = pounds; € = euros; ° = degrees; / = slash"),
    address=pairs(
        ". = dot; / = slash; - = dash; _ = underscore; @ = at; : = colon; ? = question mark; & = and; # = hash; "
        "= = equals; + = plus; ~ = tilde; % = percent"
    ),
    fractions=pairs(
        "1/2 = one half; 1/3 = one third; 2/3 = two thirds; 1/4 = one quarter; 3/4 = three quarters; "
        "24/7 = twenty-four seven"
    ),
    months=tuple(_MONTHS.split()),
    month_names=month_names(_MONTHS, "Jan. Feb. Mar. Apr. May. Jun. Jul. Aug. Sept. Oct. Nov. Dec."),
    date="{month} {day}, {year}",
    day_and_month="{month} {day}",
    clock="{h} {m}",
    full_hour="{h} o'clock",
    units=units(
        "km = kilometer|kilometers; m = meter|meters; cm = centimeter|centimeters; mm = millimeter|millimeters; "
        "kg = kilogram|kilograms; g = gram|grams; mg = milligram|milligrams; t = ton|tons; l = liter|liters; "
        "ml = milliliter|milliliters; km/h = kilometer per hour|kilometers per hour; "
        "m/s = meter per second|meters per second; h = hour|hours; min = minute|minutes; s = second|seconds; "
        "ms = millisecond|milliseconds; °C = degree Celsius|degrees Celsius; "
        "°F = degree Fahrenheit|degrees Fahrenheit; "
        "° = degree|degrees; km2 = square kilometer|square kilometers; m2 = square meter|square meters; "
        "m3 = cubic meter|cubic meters; Hz = hertz; kHz = kilohertz; MHz = megahertz; GHz = gigahertz; "
        "W = watt|watts; "
        "kW = kilowatt|kilowatts; kWh = kilowatt hour|kilowatt hours; V = volt|volts; kB = kilobyte|kilobytes; "
        "MB = megabyte|megabytes; GB = gigabyte|gigabytes; TB = terabyte|terabytes; ft = foot|feet; "
        "lb = pound|pounds; "
        "lbs = pound|pounds; oz = ounce|ounces; mi = mile|miles; mph = mile per hour|miles per hour; yd = yard|yards"
    ),
    currencies=currencies(
        "$ = dollar|dollars + cent|cents; € = euro|euros + cent|cents; £ = pound|pounds + penny|pence; ¥ = yen; "
        "₩ = won; "
        "₹ = rupee|rupees + paisa|paise; zł = zloty|zlotys + grosz; Kč = koruna|korunas; Ft = forint|forints; "
        "₺ = lira|liras + kuruş; ₽ = ruble|rubles + kopek|kopeks; CHF = Swiss franc|Swiss francs + centime|centimes"
    ),
    scales=("thousand", "million", "billion", "trillion"),
    cents=" and ",
    abbreviations=pairs(
        "Mr. = Mister; Mrs. = Missus; Ms. = Miss; Dr. = Doctor; Prof. = Professor; St. = Saint; Jr. = Junior; "
        "Sr. = Senior; "
        "e.g. = for example; i.e. = that is; etc. = et cetera; vs. = versus; approx. = approximately; No. = number; "
        "Mt. = Mount; Gen. = General; Capt. = Captain; Sgt. = Sergeant; Lt. = Lieutenant; Col. = Colonel; "
        "Gov. = Governor; "
        "Rev. = Reverend; Ltd. = Limited; Inc. = Incorporated; Corp. = Corporation; dept. = department"
    ),
    is_month_first=True,
)
