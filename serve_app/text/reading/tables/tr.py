"""Turkish."""

from serve_app.text.reading.words import Words, currencies, month_names, pairs, units

_MONTHS = "Ocak Şubat Mart Nisan Mayıs Haziran Temmuz Ağustos Eylül Ekim Kasım Aralık"

WORDS = Words(
    point="virgül",
    minus="eksi",
    to="ile",
    over="bölü",
    group=".",
    percent="yüzde {n}",
    signs=pairs("& = ve; @ = et; # = diyez; % = yüzde; $ = dolar; £ = sterlin; € = avro; ° = derece; / = bölü"),
    address=pairs(
        ". = nokta; / = eğik çizgi; - = tire; _ = alt çizgi; @ = et; : = iki nokta; "
        "? = soru işareti; & = ve; # = diyez; = = eşittir; + = artı; ~ = tilde; % = yüzde"
    ),
    fractions=pairs("1/2 = yarım; 1/3 = üçte bir; 2/3 = üçte iki; 1/4 = çeyrek; 3/4 = dörtte üç"),
    months=tuple(_MONTHS.split()),
    month_names=month_names(_MONTHS),
    date="{day} {month} {year}",
    day_and_month="{day} {month}",
    clock="{h} {m}",
    full_hour="{h}",
    units=units(
        "km = kilometre; m = metre; cm = santimetre; mm = milimetre; kg = kilogram; g = gram; mg = miligram; "
        "t = ton; "
        "l = litre; L = litre; ml = mililitre; km/h = kilometre bölü saat; km/sa = kilometre bölü saat; "
        "m/s = metre bölü saniye; "
        "sa = saat; dk = dakika; sn = saniye; h = saat; min = dakika; s = saniye; ms = milisaniye; "
        "°C = santigrat derece; "
        "°F = fahrenhayt derece; ° = derece; km2 = kilometrekare; m2 = metrekare; m3 = metreküp; Hz = hertz; "
        "kHz = kilohertz; "
        "MHz = megahertz; GHz = gigahertz; W = vat; kW = kilovat; kWh = kilovat saat; V = volt; kB = kilobayt; "
        "MB = megabayt; GB = gigabayt; TB = terabayt"
    ),
    currencies=currencies(
        "₺ = lira + kuruş; TL = lira + kuruş; $ = dolar + sent; € = avro + sent; £ = sterlin + peni; ¥ = yen; "
        "₩ = won; "
        "₹ = rupi; zł = zloti; Kč = kron; Ft = forint; ₽ = ruble + kopek; CHF = İsviçre frangı"
    ),
    scales=("bin", "milyon", "milyar", "trilyon"),
    abbreviations=pairs(
        "Dr. = doktor; Prof. = profesör; Doç. = doçent; vb. = ve benzeri; vs. = vesaire; örn. = örneğin; "
        "Sn. = sayın; "
        "Cad. = caddesi; Sok. = sokak; Mah. = mahallesi; No. = numara; Av. = avukat; bkz. = bakınız; yy. = yüzyıl; "
        "M.Ö. = milattan önce; M.S. = milattan sonra; Tel. = telefon; Alb. = albay"
    ),
    has_decimal_digits=False,
)
