"""Czech."""

from serve_app.text.reading.words import Words, currencies, month_names, pairs, units

_MONTHS = "ledna února března dubna května června července srpna září října listopadu prosince"

WORDS = Words(
    point="celá",
    minus="mínus",
    to="až",
    over="lomeno",
    group=".",
    percent="{n} procent",
    signs=pairs("& = a; @ = zavináč; # = křížek; % = procent; $ = dolarů; £ = liber; € = eur; ° = stupňů; / = lomítko"),
    address=pairs(
        ". = tečka; / = lomítko; - = pomlčka; _ = podtržítko; @ = zavináč; : = dvojtečka; "
        "? = otazník; & = a; # = křížek; = = rovná se; + = plus; ~ = vlnovka; % = procento"
    ),
    fractions=pairs(
        "1/2 = jedna polovina; 1/3 = jedna třetina; 2/3 = dvě třetiny; 1/4 = jedna čtvrtina; 3/4 = tři čtvrtiny"
    ),
    months=tuple(_MONTHS.split()),
    month_names=month_names(_MONTHS),
    date="{day} {month} {year}",
    day_and_month="{day} {month}",
    clock="{h} {hours} {m}",
    full_hour="{h} {hours}",
    units=units(
        "km = m: kilometr|kilometry|kilometrů|kilometru; m = m: metr|metry|metrů|metru; "
        "cm = m: centimetr|centimetry|centimetrů|centimetru; mm = m: milimetr|milimetry|milimetrů|milimetru; "
        "kg = m: kilogram|kilogramy|kilogramů|kilogramu; g = m: gram|gramy|gramů|gramu; "
        "mg = m: miligram|miligramy|miligramů|miligramu; t = f: tuna|tuny|tun|tuny; l = m: litr|litry|litrů|litru; "
        "ml = m: mililitr|mililitry|mililitrů|mililitru; h = f: hodina|hodiny|hodin|hodiny; "
        "km/h = m: kilometr za hodinu|kilometry za hodinu|kilometrů za hodinu|kilometru za hodinu; "
        "m/s = m: metr za sekundu|metry za sekundu|metrů za sekundu|metru za sekundu; "
        "min = f: minuta|minuty|minut|minuty; sec = f: sekunda|sekundy|sekund|sekundy; "
        "ms = f: milisekunda|milisekundy|milisekund|milisekundy; "
        "°C = m: stupeň Celsia|stupně Celsia|stupňů Celsia|stupně Celsia; "
        "°F = m: stupeň Fahrenheita|stupně Fahrenheita|stupňů Fahrenheita|stupně Fahrenheita; "
        "° = m: stupeň|stupně|stupňů|stupně; "
        "km2 = m: kilometr čtvereční|kilometry čtvereční|kilometrů čtverečních|kilometru čtverečního; "
        "m2 = m: metr čtvereční|metry čtvereční|metrů čtverečních|metru čtverečního; "
        "m3 = m: metr krychlový|metry krychlové|metrů krychlových|metru krychlového; "
        "Hz = m: hertz|hertze|hertzů|hertzu; kHz = m: kilohertz|kilohertze|kilohertzů|kilohertzu; "
        "MHz = m: megahertz|megahertze|megahertzů|megahertzu; GHz = m: gigahertz|gigahertze|gigahertzů|gigahertzu; "
        "W = m: watt|watty|wattů|wattu; kW = m: kilowatt|kilowatty|kilowattů|kilowattu; "
        "kWh = f: kilowatthodina|kilowatthodiny|kilowatthodin|kilowatthodiny; V = m: volt|volty|voltů|voltu; "
        "kB = m: kilobajt|kilobajty|kilobajtů|kilobajtu; MB = m: megabajt|megabajty|megabajtů|megabajtu; "
        "GB = m: gigabajt|gigabajty|gigabajtů|gigabajtu; TB = m: terabajt|terabajty|terabajtů|terabajtu"
    ),
    currencies=currencies(
        "Kč = f: koruna|koruny|korun|koruny + m: haléř|haléře|haléřů; "
        "$ = m: dolar|dolary|dolarů|dolaru + m: cent|centy|centů; "
        "€ = n: euro|eura|eur|eura + m: cent|centy|centů; £ = f: libra|libry|liber|libry + f: pence; "
        "¥ = m: jen|jeny|jenů|jenu; "
        "₩ = m: won|wony|wonů|wonu; ₹ = f: rupie|rupie|rupií|rupie; zł = m: zlotý|zloté|zlotých|zlotého; "
        "Ft = m: forint|forinty|forintů|forintu; ₺ = f: lira|liry|lir|liry; ₽ = m: rubl|rubly|rublů|rublu; "
        "CHF = m: švýcarský frank|švýcarské franky|švýcarských franků|švýcarského franku"
    ),
    scales=("tisíc", "tis.", "milion", "miliony", "milionů", "mil.", "miliarda", "miliardy", "miliard", "mld."),
    abbreviations=pairs(
        "např. = například; atd. = a tak dále; apod. = a podobně; tj. = to je; tzv. = takzvaný; dr. = doktor; "
        "Ing. = inženýr; "
        "prof. = profesor; č. = číslo; ul. = ulice; sv. = svatý; cca = cirka; hod. = hodin; mil. = milionů; "
        "mld. = miliard; "
        "tis. = tisíc; tel. = telefon; str. = strana; n. l. = našeho letopočtu; p. = pan"
    ),
    agreement={"m": {"jedna": "jeden"}, "n": {"jedna": "jedno", "dva": "dvě"}, "f": {"dva": "dvě"}},
    has_decimal_digits=False,
    groups_by_space=True,
)
