"""Spanish."""

from serve_app.text.reading.words import Words, currencies, month_names, pairs, units

_MONTHS = "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"

WORDS = Words(
    point="coma",
    minus="menos",
    to="a",
    over="sobre",
    group=".",
    percent="{n} por ciento",
    signs=pairs(
        "& = y; @ = arroba; # = almohadilla; % = por ciento; $ = dólares; £ = libras; € = euros; ° = grados; / = barra"
    ),
    address=pairs(
        ". = punto; / = barra; - = guion; _ = guion bajo; @ = arroba; : = dos puntos; "
        "? = signo de interrogación; & = y; # = almohadilla; = = igual; + = más; ~ = tilde; % = por ciento"
    ),
    fractions=pairs("1/2 = medio; 1/3 = un tercio; 2/3 = dos tercios; 1/4 = un cuarto; 3/4 = tres cuartos"),
    months=tuple(_MONTHS.split()),
    month_names=month_names(_MONTHS) | {"setiembre": 9},
    date="{day} de {month} de {year}",
    day_and_month="{day} de {month}",
    clock="{h} y {m}",
    full_hour="{h} {hours}",
    units=units(
        "km = m: kilómetro|kilómetros; m = m: metro|metros; cm = m: centímetro|centímetros; "
        "mm = m: milímetro|milímetros; "
        "kg = m: kilogramo|kilogramos; g = m: gramo|gramos; mg = m: miligramo|miligramos; t = f: tonelada|toneladas; "
        "l = m: litro|litros; ml = m: mililitro|mililitros; km/h = m: kilómetro por hora|kilómetros por hora; "
        "m/s = m: metro por segundo|metros por segundo; h = f: hora|horas; min = m: minuto|minutos; "
        "s = m: segundo|segundos; ms = m: milisegundo|milisegundos; °C = m: grado Celsius|grados Celsius; "
        "°F = m: grado Fahrenheit|grados Fahrenheit; ° = m: grado|grados; "
        "km2 = m: kilómetro cuadrado|kilómetros cuadrados; "
        "m2 = m: metro cuadrado|metros cuadrados; m3 = m: metro cúbico|metros cúbicos; Hz = m: hercio|hercios; "
        "kHz = m: kilohercio|kilohercios; MHz = m: megahercio|megahercios; GHz = m: gigahercio|gigahercios; "
        "W = m: vatio|vatios; kW = m: kilovatio|kilovatios; kWh = m: kilovatio hora|kilovatios hora; "
        "V = m: voltio|voltios; "
        "kB = m: kilobyte|kilobytes; MB = m: megabyte|megabytes; GB = m: gigabyte|gigabytes; "
        "TB = m: terabyte|terabytes"
    ),
    currencies=currencies(
        "$ = m: dólar|dólares + m: centavo|centavos; € = m: euro|euros + m: céntimo|céntimos; "
        "£ = f: libra|libras + m: penique|peniques; ¥ = m: yen|yenes; ₩ = m: won|wones; ₹ = f: rupia|rupias; "
        "zł = m: esloti|eslotis; Kč = f: corona|coronas; Ft = m: forinto|forintos; ₺ = f: lira|liras; "
        "₽ = m: rublo|rublos; CHF = m: franco suizo|francos suizos + m: céntimo|céntimos"
    ),
    scales=("millón", "millones", "billones"),
    scale_link="de ",
    cents=" con ",
    abbreviations=pairs(
        "Sr. = señor; Sra. = señora; Srta. = señorita; Dr. = doctor; Dra. = doctora; Ud. = usted; Uds. = ustedes; "
        "etc. = etcétera; p. ej. = por ejemplo; n.º = número; núm. = número; avda. = avenida; pág. = página; "
        "aprox. = aproximadamente; tel. = teléfono; EE. UU. = Estados Unidos; Prof. = profesor"
    ),
    agreement={
        "m": {"uno": "un", "veintiuno": "veintiún"},
        "f": {"uno": "una", "veintiuno": "veintiuna"},
    },
    has_decimal_digits=False,
)
