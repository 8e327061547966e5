"""German."""

from serve_app.text.reading.words import Words, currencies, month_names, pairs, units

_MONTHS = "Januar Februar März April Mai Juni Juli August September Oktober November Dezember"

WORDS = Words(
    point="Komma",
    minus="minus",
    to="bis",
    over="durch",
    group=".",
    percent="{n} Prozent",
    signs=pairs("& = und; @ = at; # = Raute; % = Prozent; $ = Dollar; £ = Pfund; € = Euro; ° = Grad; / = Schrägstrich"),
    address=pairs(
        ". = Punkt; / = Schrägstrich; - = Bindestrich; _ = Unterstrich; @ = at; : = Doppelpunkt; "
        "? = Fragezeichen; & = und; # = Raute; = = gleich; + = plus; ~ = Tilde; % = Prozent"
    ),
    fractions=pairs("1/2 = ein halb; 1/3 = ein Drittel; 2/3 = zwei Drittel; 1/4 = ein Viertel; 3/4 = drei Viertel"),
    months=tuple(_MONTHS.split()),
    month_names=month_names(_MONTHS, "Jan. Feb. Mrz. Apr. Mai Jun. Jul. Aug. Sept. Okt. Nov. Dez.")
    | {"jänner": 1, "feber": 2},
    date="{day} {month} {year}",
    day_and_month="{day} {month}",
    clock="{h} Uhr {m}",
    full_hour="{h} Uhr",
    units=units(
        "km = m: Kilometer; m = m: Meter; cm = m: Zentimeter; mm = m: Millimeter; kg = n: Kilogramm; g = n: Gramm; "
        "mg = n: Milligramm; t = f: Tonne|Tonnen; l = m: Liter; ml = m: Milliliter; km/h = m: Kilometer pro Stunde; "
        "m/s = m: Meter pro Sekunde; h = f: Stunde|Stunden; min = f: Minute|Minuten; s = f: Sekunde|Sekunden; "
        "ms = f: Millisekunde|Millisekunden; °C = n: Grad Celsius; °F = n: Grad Fahrenheit; ° = n: Grad; "
        "km2 = m: Quadratkilometer; m2 = m: Quadratmeter; m3 = m: Kubikmeter; Hz = n: Hertz; kHz = n: Kilohertz; "
        "MHz = n: Megahertz; GHz = n: Gigahertz; W = n: Watt; kW = n: Kilowatt; "
        "kWh = f: Kilowattstunde|Kilowattstunden; "
        "V = n: Volt; kB = n: Kilobyte; MB = n: Megabyte; GB = n: Gigabyte; TB = n: Terabyte"
    ),
    currencies=currencies(
        "$ = m: Dollar + m: Cent; € = m: Euro + m: Cent; £ = n: Pfund + m: Penny|Pence; ¥ = m: Yen; ₩ = m: Won; "
        "₹ = f: Rupie|Rupien; zł = m: Złoty + m: Groszy; Kč = f: Krone|Kronen; Ft = m: Forint; "
        "₺ = f: Lira + m: Kuruş; "
        "₽ = m: Rubel + f: Kopeke|Kopeken; CHF = m: Franken + m: Rappen"
    ),
    scales=("Tausend", "Million", "Millionen", "Milliarde", "Milliarden", "Billionen", "Mio.", "Mrd."),
    abbreviations=pairs(
        "z.B. = zum Beispiel; d.h. = das heißt; u.a. = unter anderem; usw. = und so weiter; bzw. = beziehungsweise; "
        "ca. = zirka; Dr. = Doktor; Prof. = Professor; Hr. = Herr; Fr. = Frau; Nr. = Nummer; St. = Sankt; "
        "Str. = Straße; "
        "vgl. = vergleiche; evtl. = eventuell; ggf. = gegebenenfalls; inkl. = inklusive; zzgl. = zuzüglich; "
        "Mio. = Millionen; Mrd. = Milliarden; etc. = et cetera; Tel. = Telefon; S. = Seite; o.ä. = oder ähnliches"
    ),
    agreement={"m": {"eins": "ein"}, "n": {"eins": "ein"}, "f": {"eins": "eine"}},
)
