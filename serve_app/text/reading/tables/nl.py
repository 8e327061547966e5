"""Dutch."""

from serve_app.text.reading.words import Words, currencies, month_names, pairs, units

_MONTHS = "januari februari maart april mei juni juli augustus september oktober november december"

WORDS = Words(
    point="komma",
    minus="min",
    to="tot",
    over="gedeeld door",
    group=".",
    percent="{n} procent",
    signs=pairs(
        "& = en; @ = apenstaartje; # = hekje; % = procent; $ = dollar; £ = pond; € = euro; ° = graden; "
        "/ = schuine streep"
    ),
    address=pairs(
        ". = punt; / = schuine streep; - = streepje; _ = laag streepje; @ = apenstaartje; : = dubbele punt; "
        "? = vraagteken; & = en; # = hekje; = = is; + = plus; ~ = tilde; % = procent"
    ),
    fractions=pairs("1/2 = een half; 1/3 = een derde; 2/3 = twee derde; 1/4 = een kwart; 3/4 = drie kwart"),
    months=tuple(_MONTHS.split()),
    month_names=month_names(_MONTHS, "jan. feb. mrt. apr. mei jun. jul. aug. sept. okt. nov. dec."),
    date="{day} {month} {year}",
    day_and_month="{day} {month}",
    clock="{h} uur {m}",
    full_hour="{h} uur",
    units=units(
        "km = kilometer; m = meter; cm = centimeter; mm = millimeter; kg = kilogram; g = gram; mg = milligram; "
        "t = ton; "
        "l = liter; ml = milliliter; km/h = kilometer per uur; km/u = kilometer per uur; m/s = meter per seconde; "
        "h = uur; "
        "min = minuut|minuten; s = seconde|seconden; ms = milliseconde|milliseconden; "
        "°C = graad Celsius|graden Celsius; "
        "°F = graad Fahrenheit|graden Fahrenheit; ° = graad|graden; km2 = vierkante kilometer; m2 = vierkante meter; "
        "m3 = kubieke meter; Hz = hertz; kHz = kilohertz; MHz = megahertz; GHz = gigahertz; W = watt; kW = kilowatt; "
        "kWh = kilowattuur; V = volt; kB = kilobyte; MB = megabyte; GB = gigabyte; TB = terabyte"
    ),
    currencies=currencies(
        "$ = dollar + cent; € = euro + cent; £ = pond + pence; ¥ = yen; ₩ = won; ₹ = roepie; zł = zloty; "
        "Kč = kroon|kronen; "
        "Ft = forint; ₺ = lira; ₽ = roebel; CHF = Zwitserse frank + rappen"
    ),
    scales=("miljoen", "miljard", "biljoen"),
    abbreviations=pairs(
        "dhr. = de heer; mevr. = mevrouw; mw. = mevrouw; dr. = dokter; prof. = professor; bijv. = bijvoorbeeld; "
        "bv. = bijvoorbeeld; d.w.z. = dat wil zeggen; o.a. = onder andere; enz. = enzovoort; etc. = et cetera; "
        "nr. = nummer; ca. = circa; blz. = bladzijde; m.a.w. = met andere woorden; t/m = tot en met; tel. = telefoon"
    ),
    has_decimal_digits=False,
)
