"""Portuguese, as Brazil counts."""

from serve_app.text.reading.words import Words, currencies, month_names, pairs, units

_MONTHS = "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro"

WORDS = Words(
    point="vírgula",
    minus="menos",
    to="a",
    over="sobre",
    group=".",
    percent="{n} por cento",
    signs=pairs(
        "& = e; @ = arroba; # = cerquilha; % = por cento; $ = dólares; £ = libras; € = euros; ° = graus; / = barra"
    ),
    address=pairs(
        ". = ponto; / = barra; - = hífen; _ = sublinhado; @ = arroba; : = dois pontos; "
        "? = ponto de interrogação; & = e; # = cerquilha; = = igual; + = mais; ~ = til; % = por cento"
    ),
    fractions=pairs("1/2 = meio; 1/3 = um terço; 2/3 = dois terços; 1/4 = um quarto; 3/4 = três quartos"),
    months=tuple(_MONTHS.split()),
    month_names=month_names(_MONTHS),
    date="{day} de {month} de {year}",
    day_and_month="{day} de {month}",
    clock="{h} e {m}",
    full_hour="{h} {hours}",
    units=units(
        "km = m: quilômetro|quilômetros; m = m: metro|metros; cm = m: centímetro|centímetros; "
        "mm = m: milímetro|milímetros; "
        "kg = m: quilograma|quilogramas; g = m: grama|gramas; mg = m: miligrama|miligramas; "
        "t = f: tonelada|toneladas; "
        "l = m: litro|litros; ml = m: mililitro|mililitros; km/h = m: quilômetro por hora|quilômetros por hora; "
        "m/s = m: metro por segundo|metros por segundo; h = f: hora|horas; min = m: minuto|minutos; "
        "s = m: segundo|segundos; ms = m: milissegundo|milissegundos; °C = m: grau Celsius|graus Celsius; "
        "°F = m: grau Fahrenheit|graus Fahrenheit; ° = m: grau|graus; "
        "km2 = m: quilômetro quadrado|quilômetros quadrados; "
        "m2 = m: metro quadrado|metros quadrados; m3 = m: metro cúbico|metros cúbicos; Hz = m: hertz; "
        "kHz = m: quilohertz; "
        "MHz = m: megahertz; GHz = m: gigahertz; W = m: watt|watts; kW = m: quilowatt|quilowatts; "
        "kWh = m: quilowatt-hora|quilowatts-hora; V = m: volt|volts; kB = m: quilobyte|quilobytes; "
        "MB = m: megabyte|megabytes; GB = m: gigabyte|gigabytes; TB = m: terabyte|terabytes"
    ),
    currencies=currencies(
        "R$ = m: real|reais + m: centavo|centavos; $ = m: dólar|dólares + m: centavo|centavos; "
        "€ = m: euro|euros + m: centavo|centavos; £ = f: libra|libras + m: centavo|centavos; ¥ = m: iene|ienes; "
        "₩ = m: won|wons; ₹ = f: rupia|rupias; zł = m: zloty|zlotys; Kč = f: coroa|coroas; Ft = m: florim|florins; "
        "₺ = f: lira|liras; ₽ = m: rublo|rublos; CHF = m: franco suíço|francos suíços + m: centavo|centavos"
    ),
    scales=("milhão", "milhões", "bilhão", "bilhões"),
    scale_link="de ",
    cents=" e ",
    abbreviations=pairs(
        "Sr. = senhor; Sra. = senhora; Srta. = senhorita; Dr. = doutor; Dra. = doutora; etc. = etcétera; "
        "p. ex. = por exemplo; n.º = número; av. = avenida; pág. = página; aprox. = aproximadamente; "
        "tel. = telefone; "
        "Prof. = professor; Profa. = professora; Ltda. = limitada"
    ),
    agreement={"f": {"um": "uma", "dois": "duas"}},
    has_decimal_digits=False,
)
