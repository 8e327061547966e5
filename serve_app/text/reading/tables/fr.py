"""French."""

from serve_app.text.reading.words import Words, currencies, month_names, pairs, units

_MONTHS = "janvier février mars avril mai juin juillet août septembre octobre novembre décembre"

WORDS = Words(
    point="virgule",
    minus="moins",
    to="à",
    over="sur",
    group=".",
    percent="{n} pour cent",
    signs=pairs(
        "& = et; @ = arobase; # = dièse; % = pour cent; $ = dollars; £ = livres; € = euros; ° = degrés; "
        "/ = barre oblique"
    ),
    address=pairs(
        ". = point; / = barre oblique; - = tiret; _ = tiret bas; @ = arobase; : = deux-points; "
        "? = point d'interrogation; & = et; # = dièse; = = égale; + = plus; ~ = tilde; % = pour cent"
    ),
    fractions=pairs("1/2 = un demi; 1/3 = un tiers; 2/3 = deux tiers; 1/4 = un quart; 3/4 = trois quarts"),
    months=tuple(_MONTHS.split()),
    month_names=month_names(_MONTHS, "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc."),
    date="{day} {month} {year}",
    day_and_month="{day} {month}",
    clock="{h} {hours} {m}",
    full_hour="{h} {hours}",
    units=units(
        "km = m: kilomètre|kilomètres; m = m: mètre|mètres; cm = m: centimètre|centimètres; "
        "mm = m: millimètre|millimètres; "
        "kg = m: kilogramme|kilogrammes; g = m: gramme|grammes; mg = m: milligramme|milligrammes; "
        "t = f: tonne|tonnes; "
        "l = m: litre|litres; ml = m: millilitre|millilitres; km/h = m: kilomètre à l'heure|kilomètres à l'heure; "
        "m/s = m: mètre par seconde|mètres par seconde; h = f: heure|heures; min = f: minute|minutes; "
        "s = f: seconde|secondes; ms = f: milliseconde|millisecondes; °C = m: degré Celsius|degrés Celsius; "
        "°F = m: degré Fahrenheit|degrés Fahrenheit; ° = m: degré|degrés; "
        "km2 = m: kilomètre carré|kilomètres carrés; "
        "m2 = m: mètre carré|mètres carrés; m3 = m: mètre cube|mètres cubes; Hz = m: hertz; kHz = m: kilohertz; "
        "MHz = m: mégahertz; GHz = m: gigahertz; W = m: watt|watts; kW = m: kilowatt|kilowatts; "
        "kWh = m: kilowattheure|kilowattheures; V = m: volt|volts; Ko = m: kilooctet|kilooctets; "
        "Mo = m: mégaoctet|mégaoctets; Go = m: gigaoctet|gigaoctets; MB = m: mégaoctet|mégaoctets; "
        "GB = m: gigaoctet|gigaoctets"
    ),
    currencies=currencies(
        "$ = m: dollar|dollars + m: cent|cents; € = m: euro|euros + m: centime|centimes; "
        "£ = f: livre|livres + m: penny|pence; "
        "¥ = m: yen|yens; ₩ = m: won|wons; ₹ = f: roupie|roupies; zł = m: zloty|zlotys; Kč = f: couronne|couronnes; "
        "Ft = m: forint|forints; ₺ = f: livre turque|livres turques; ₽ = m: rouble|roubles; "
        "CHF = m: franc suisse|francs suisses + m: centime|centimes"
    ),
    scales=("million", "millions", "milliard", "milliards", "billions"),
    scale_link="d'",
    abbreviations=pairs(
        "M. = Monsieur; Mme = Madame; Mlle = Mademoiselle; Mr. = Monsieur; Dr. = Docteur; Dr = Docteur; "
        "Pr = Professeur; "
        "etc. = et cetera; av. = avenue; bd. = boulevard; n° = numéro; p. ex. = par exemple; env. = environ; "
        "c.-à-d. = c'est-à-dire; St. = Saint; Ste. = Sainte; tél. = téléphone"
    ),
    agreement={"f": {"un": "une"}},
    has_decimal_digits=False,
    groups_by_space=True,
)
