"""Italian."""

from serve_app.text.reading.words import Words, currencies, month_names, pairs, units

_MONTHS = "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre"

WORDS = Words(
    point="virgola",
    minus="meno",
    to="a",
    over="su",
    group=".",
    percent="{n} per cento",
    signs=pairs(
        "& = e; @ = chiocciola; # = cancelletto; % = per cento; $ = dollari; £ = sterline; € = euro; ° = gradi; "
        "/ = barra"
    ),
    address=pairs(
        ". = punto; / = barra; - = trattino; _ = trattino basso; @ = chiocciola; : = due punti; "
        "? = punto interrogativo; & = e; # = cancelletto; = = uguale; + = più; ~ = tilde; % = per cento"
    ),
    fractions=pairs("1/2 = mezzo; 1/3 = un terzo; 2/3 = due terzi; 1/4 = un quarto; 3/4 = tre quarti"),
    months=tuple(_MONTHS.split()),
    month_names=month_names(_MONTHS),
    date="{day} {month} {year}",
    day_and_month="{day} {month}",
    clock="{h} e {m}",
    full_hour="{h}",
    units=units(
        "km = m: chilometro|chilometri; m = m: metro|metri; cm = m: centimetro|centimetri; "
        "mm = m: millimetro|millimetri; "
        "kg = m: chilogrammo|chilogrammi; g = m: grammo|grammi; mg = m: milligrammo|milligrammi; "
        "t = f: tonnellata|tonnellate; l = m: litro|litri; ml = m: millilitro|millilitri; "
        "km/h = m: chilometro all'ora|chilometri all'ora; m/s = m: metro al secondo|metri al secondo; "
        "h = f: ora|ore; "
        "min = m: minuto|minuti; s = m: secondo|secondi; ms = m: millisecondo|millisecondi; "
        "°C = m: grado Celsius|gradi Celsius; °F = m: grado Fahrenheit|gradi Fahrenheit; ° = m: grado|gradi; "
        "km2 = m: chilometro quadrato|chilometri quadrati; m2 = m: metro quadrato|metri quadrati; "
        "m3 = m: metro cubo|metri cubi; Hz = m: hertz; kHz = m: chilohertz; MHz = m: megahertz; GHz = m: gigahertz; "
        "W = m: watt; kW = m: chilowatt; kWh = m: chilowattora; V = m: volt; kB = m: kilobyte; MB = m: megabyte; "
        "GB = m: gigabyte; TB = m: terabyte"
    ),
    currencies=currencies(
        "$ = m: dollaro|dollari + m: centesimo|centesimi; € = m: euro + m: centesimo|centesimi; "
        "£ = f: sterlina|sterline + m: penny|pence; ¥ = m: yen; ₩ = m: won; ₹ = f: rupia|rupie; zł = m: zloty; "
        "Kč = f: corona|corone; Ft = m: fiorino|fiorini; ₺ = f: lira turca|lire turche; ₽ = m: rublo|rubli; "
        "CHF = m: franco svizzero|franchi svizzeri + m: centesimo|centesimi"
    ),
    scales=("milione", "milioni", "miliardo", "miliardi"),
    scale_link="di ",
    cents=" e ",
    abbreviations=pairs(
        "Sig.ra = signora; Sig. = signor; Sigg. = signori; Dott.ssa = dottoressa; Dott. = dottor; Dr. = dottor; "
        "Prof.ssa = professoressa; Prof. = professor; ecc. = eccetera; p.es. = per esempio; ad es. = ad esempio; "
        "Ing. = ingegner; Avv. = avvocato; n. = numero; pag. = pagina; tel. = telefono; ca. = circa"
    ),
    agreement={"m": {"uno": "un"}, "f": {"uno": "una"}},
    has_decimal_digits=False,
)
