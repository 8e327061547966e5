"""Polish."""

from serve_app.text.reading.words import Words, currencies, month_names, pairs, units

_MONTHS = "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia"

WORDS = Words(
    point="przecinek",
    minus="minus",
    to="-",
    over="przez",
    group=".",
    percent="{n} procent",
    signs=pairs(
        "& = i; @ = małpa; # = krzyżyk; % = procent; $ = dolarów; £ = funtów; € = euro; ° = stopni; / = ukośnik"
    ),
    address=pairs(
        ". = kropka; / = ukośnik; - = myślnik; _ = podkreślnik; @ = małpa; : = dwukropek; "
        "? = znak zapytania; & = i; # = krzyżyk; = = równa się; + = plus; ~ = tylda; % = procent"
    ),
    fractions=pairs("1/2 = pół; 1/3 = jedna trzecia; 2/3 = dwie trzecie; 1/4 = jedna czwarta; 3/4 = trzy czwarte"),
    months=tuple(_MONTHS.split()),
    month_names=month_names(_MONTHS),
    date="{day} {month} {year} roku",
    day_and_month="{day} {month}",
    clock="{h} {m}",
    full_hour="{h}",
    units=units(
        "km = m: kilometr|kilometry|kilometrów|kilometra; m = m: metr|metry|metrów|metra; "
        "cm = m: centymetr|centymetry|centymetrów|centymetra; mm = m: milimetr|milimetry|milimetrów|milimetra; "
        "kg = m: kilogram|kilogramy|kilogramów|kilograma; g = m: gram|gramy|gramów|grama; "
        "mg = m: miligram|miligramy|miligramów|miligrama; t = f: tona|tony|ton|tony; l = m: litr|litry|litrów|litra; "
        "ml = m: mililitr|mililitry|mililitrów|mililitra; h = f: godzina|godziny|godzin|godziny; "
        "km/h = m: kilometr na godzinę|kilometry na godzinę|kilometrów na godzinę|kilometra na godzinę; "
        "m/s = m: metr na sekundę|metry na sekundę|metrów na sekundę|metra na sekundę; "
        "min = f: minuta|minuty|minut|minuty; s = f: sekunda|sekundy|sekund|sekundy; "
        "ms = f: milisekunda|milisekundy|milisekund|milisekundy; "
        "°C = m: stopień Celsjusza|stopnie Celsjusza|stopni Celsjusza|stopnia Celsjusza; "
        "°F = m: stopień Fahrenheita|stopnie Fahrenheita|stopni Fahrenheita|stopnia Fahrenheita; "
        "° = m: stopień|stopnie|stopni|stopnia; "
        "km2 = m: kilometr kwadratowy|kilometry kwadratowe|kilometrów kwadratowych|kilometra kwadratowego; "
        "m2 = m: metr kwadratowy|metry kwadratowe|metrów kwadratowych|metra kwadratowego; "
        "m3 = m: metr sześcienny|metry sześcienne|metrów sześciennych|metra sześciennego; "
        "Hz = m: herc|herce|herców|herca; kHz = m: kiloherc|kiloherce|kiloherców|kiloherca; "
        "MHz = m: megaherc|megaherce|megaherców|megaherca; GHz = m: gigaherc|gigaherce|gigaherców|gigaherca; "
        "W = m: wat|waty|watów|wata; kW = m: kilowat|kilowaty|kilowatów|kilowata; "
        "kWh = f: kilowatogodzina|kilowatogodziny|kilowatogodzin|kilowatogodziny; V = m: wolt|wolty|woltów|wolta; "
        "kB = m: kilobajt|kilobajty|kilobajtów|kilobajta; MB = m: megabajt|megabajty|megabajtów|megabajta; "
        "GB = m: gigabajt|gigabajty|gigabajtów|gigabajta; TB = m: terabajt|terabajty|terabajtów|terabajta"
    ),
    currencies=currencies(
        "zł = m: złoty|złote|złotych|złotego + m: grosz|grosze|groszy; "
        "$ = m: dolar|dolary|dolarów|dolara + m: cent|centy|centów; "
        "€ = n: euro + m: cent|centy|centów; £ = m: funt|funty|funtów|funta + m: pens|pensy|pensów; "
        "¥ = m: jen|jeny|jenów|jena; "
        "₩ = m: won|wony|wonów|wona; ₹ = f: rupia|rupie|rupii|rupii; Kč = f: korona|korony|koron|korony; "
        "Ft = m: forint|forinty|forintów|forinta; ₺ = f: lira|liry|lir|liry; ₽ = m: rubel|ruble|rubli|rubla; "
        "CHF = m: frank szwajcarski|franki szwajcarskie|franków szwajcarskich|franka szwajcarskiego"
    ),
    scales=(
        "tysiąc",
        "tysiące",
        "tysięcy",
        "tys.",
        "milion",
        "miliony",
        "milionów",
        "mln",
        "miliard",
        "miliardy",
        "miliardów",
        "mld",
    ),
    abbreviations=pairs(
        "np. = na przykład; itd. = i tak dalej; itp. = i tym podobne; tzn. = to znaczy; m.in. = między innymi; "
        "dr = doktor; "
        "prof. = profesor; ul. = ulica; nr = numer; św. = święty; godz. = godzina; ok. = około; tj. = to jest; "
        "tzw. = tak zwany; mln = milionów; mld = miliardów; tys. = tysięcy; inż. = inżynier; mgr = magister; "
        "tel. = telefon; "
        "p.n.e. = przed naszą erą; n.e. = naszej ery; r. = roku; str. = strona"
    ),
    agreement={"f": {"jeden": "jedna", "dwa": "dwie"}, "n": {"jeden": "jedno"}},
    has_decimal_digits=False,
    groups_by_space=True,
)
