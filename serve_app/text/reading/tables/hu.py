"""Hungarian."""

from serve_app.text.reading.words import Words, currencies, month_names, pairs, units

_MONTHS = "január február március április május június július augusztus szeptember október november december"

WORDS = Words(
    point="egész",
    minus="mínusz",
    to="és",
    over="per",
    group=".",
    percent="{n} százalék",
    signs=pairs("& = és; @ = kukac; # = kettőskereszt; % = százalék; $ = dollár; £ = font; € = euró; ° = fok; / = per"),
    address=pairs(
        ". = pont; / = per; - = kötőjel; _ = alulvonás; @ = kukac; : = kettőspont; "
        "? = kérdőjel; & = és; # = kettőskereszt; = = egyenlő; + = plusz; ~ = hullámjel; % = százalék"
    ),
    fractions=pairs("1/2 = fél; 1/3 = egyharmad; 2/3 = kétharmad; 1/4 = negyed; 3/4 = háromnegyed"),
    months=tuple(_MONTHS.split()),
    month_names=month_names(_MONTHS),
    date="{year} {month} {day}",
    day_and_month="{month} {day}",
    clock="{h} óra {m} perc",
    full_hour="{h} óra",
    units=units(
        "km = m: kilométer; m = m: méter; cm = m: centiméter; mm = m: milliméter; kg = m: kilogramm; g = m: gramm; "
        "mg = m: milligramm; t = m: tonna; l = m: liter; ml = m: milliliter; km/h = m: kilométer per óra; "
        "m/s = m: méter per szekundum; h = m: óra; óra = m: óra; perc = m: perc; min = m: perc; s = m: másodperc; "
        "mp = m: másodperc; "
        "ms = m: ezredmásodperc; °C = m: Celsius-fok; °F = m: Fahrenheit-fok; ° = m: fok; km2 = m: négyzetkilométer; "
        "m2 = m: négyzetméter; m3 = m: köbméter; Hz = m: hertz; kHz = m: kilohertz; MHz = m: megahertz; "
        "GHz = m: gigahertz; "
        "W = m: watt; kW = m: kilowatt; kWh = m: kilowattóra; V = m: volt; kB = m: kilobájt; MB = m: megabájt; "
        "GB = m: gigabájt; TB = m: terabájt"
    ),
    currencies=currencies(
        "Ft = m: forint; $ = m: dollár + m: cent; € = m: euró + m: cent; £ = m: font + m: penny; ¥ = m: jen; "
        "₩ = m: von; "
        "₹ = m: rúpia; zł = m: zloty; Kč = m: korona; ₺ = m: líra; ₽ = m: rubel; CHF = m: svájci frank"
    ),
    scales=("ezer", "millió", "milliárd", "billió"),
    abbreviations=pairs(
        "Dr. = doktor; dr. = doktor; prof. = professzor; pl. = például; stb. = és a többi; kb. = körülbelül; "
        "ún. = úgynevezett; "
        "ill. = illetve; u. = utca; id. = idősebb; ifj. = ifjabb; özv. = özvegy; szt. = szent; tel. = telefon; "
        "old. = oldal; "
        "i. sz. = időszámításunk szerint; i. e. = időszámításunk előtt"
    ),
    agreement={"m": {"kettő": "két"}},
    has_decimal_digits=False,
    groups_by_space=True,
)
