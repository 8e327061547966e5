"""Sentences in each language that docs/reading.md shows, and what they become."""

from collections.abc import Iterator

from serve_app.text.pauses import read

_EXAMPLES = {
    "en": """
On October 3, 2024 at 2:30 p.m. we met.
It costs $20.50, or £3 with 5% off.
The 1st of 2024-01-02 came at 14:05.
She ran 42.195 km at 12 km/h in -5°C.
In 1999 there were 1,234,567 people; in the 1990s, fewer.
Call +49 30 1234567 or (555) 123-4567.
Write to john_doe@example.com or see https://www.example.com/news.
Dr. Smith lives on Main St., e.g. near St. Paul.
Add 2 1/2 cups, 1/3 of it on the 21st, pages 5-7.
Room 007, mp3, COVID-19, version 1.2.3 and 0.05.
Достоевский met 世界 in Łódź for €5 million.
""",
    "es": """
El 3 de octubre de 2024 a las 14:30 nos vimos.
Cuesta 20,50 € con un 5% de descuento.
Vive en el 3º piso desde el 1 de mayo.
Corrió 42,195 km a 12 km/h con -5 °C.
En 1999 había 1.234.567 personas y 21 gramos de sal.
Llame al 091 123 45 67 o al +34 912 345 678.
Escriba a ana@ejemplo.es o visite www.ejemplo.com.
La Sra. Pérez y el Dr. Ruiz, p. ej., llegaron.
Tome 1/2 litro, 2 horas y 1 minuto después.
La reunión del 03/10/2024 duró 1 h.
Достоевский pagó $1.234.
""",
    "fr": """
Le 1er mai 2024 à 14h30, nous étions là.
Cela coûte 1 250,50 € avec 5 % de remise.
Il habite au 2e étage depuis le 3 octobre 1999.
Elle a couru 42,195 km à 12 km/h par -5 °C.
Il y avait 1 234 567 personnes et 21 heures de route.
Appelez le 01 23 45 67 89.
Écrivez à jean@exemple.fr ou www.exemple.com.
M. Dupont et Mme Moreau, p. ex., sont venus.
Ajoutez 1/2 litre et 3/4 de tasse, pages 5-7.
La réunion du 03/10/2024 commence à 9:05.
Достоевский a payé 5 millions €.
""",
    "de": """
Am 3. Oktober 2024 um 14:30 Uhr trafen wir uns.
Das kostet 20,50 € mit 5 % Rabatt.
Der 3. Tag war der 1.5.1999.
Sie lief 42,195 km mit 12 km/h bei -5 °C.
Es kamen 1.234.567 Menschen, 1 Stunde lang.
Ich bin 30. Du bist älter.
Rufen Sie 030 1234567 an, oder +49 30 7654321.
Schreiben Sie an anna@beispiel.de oder www.beispiel.de.
Dr. Müller kommt z.B. um 9 Uhr.
Nimm 1/2 Liter, Seite 5-7, in den 90er Jahren.
Достоевский zahlte 5 Mio. €.
""",
    "it": """
Il 1 maggio 2024 alle 14:30 ci siamo visti.
Costa 20,50 € con il 5% di sconto.
Abita al 3º piano dal 3 ottobre 1999.
Ha corso 42,195 km a 12 km/h con -5 °C.
C'erano 1.234.567 persone e 21 grammi di sale.
Chiami lo 02 1234567.
Scriva a anna@esempio.it o visiti www.esempio.com.
La Sig.ra Rossi e il Dott. Bianchi sono qui.
Aggiungi 1/2 litro e 3/4 di tazza, pagine 5-7.
La riunione del 03/10/2024 dura 1 ora.
Достоевский pagò $1.234.
""",
    "pt": """
No dia 3 de outubro de 2024 às 14h30 nos vimos.
Custa R$ 20,50 com 5% de desconto.
Mora no 3º andar desde 1 de maio de 1999.
Ela correu 42,195 km a 12 km/h com -5 °C.
Havia 1.234.567 pessoas por 2 horas.
Ligue para 011 1234-5678.
Escreva para ana@exemplo.br ou veja www.exemplo.com.
A Sra. Silva e o Dr. Costa chegaram.
Use 1/2 litro e 3/4 de xícara, páginas 5-7.
A reunião de 03/10/2024 começa às 9:05.
Достоевский pagou €1.
""",
    "pl": """
Spotkaliśmy się 3 października 2024 r. o 14:30.
To kosztuje 20,50 zł z rabatem 5%.
To jego 3. dom od 01.05.1999.
Przebiegła 42,195 km, 22 km i 5 km przy -5 °C.
Było tam 1 234 567 osób przez 2 godziny.
Proszę dzwonić: +48 22 123 45 67.
Proszę pisać: anna@przyklad.pl albo www.przyklad.com.
Np. dr Nowak i prof. Lis mieszkają na ul. Długiej.
Weź 1/2 litra, strony 5-7.
W 2024 roku miał 1 kg i 2 t.
Достоевский zapłacił 5 mln zł.
""",
    "tr": """
3 Ekim 2024'te saat 14:30'da buluştuk.
Fiyatı 20,50 ₺ ve %5 indirim var.
Bu onun 3. evi, 2. kat.
-5 °C havada 42,195 km koştu.
1.234.567 kişi 21 saat bekledi.
Bizi 0212 345 67 89 numarasından arayın.
Bize ayse@ornek.com adresine yazın ya da www.ornek.com.
Dr. Ayşe, örn. burada.
1/2 litre süt, sayfa 5-7.
Toplantı 03.10.2024 günü 9:05'te.
Достоевский 5 milyon $ ödedi.
""",
    "ru": """
Мы встретились 3 октября 2024 года в 14:30.
Это стоит 20,50 ₽ со скидкой 5%.
Он жил на 3-м этаже с 01.05.1999.
Она пробежала 21 км, 22 км и 5 км при -5 °C.
Там было 1 234 567 человек и 2 тонны.
Звоните: +7 495 123-45-67.
Пишите на anna@primer.ru или www.primer.com.
Д-р Смирнов, т.е. врач, и г-н Иванов.
Возьмите 1/2 литра, страницы 5-7.
В 2024 году, в 60-х, 1-й раз.
Это 世界 за 5 млн $.
""",
    "nl": """
Op 3 oktober 2024 om 14:30 uur zagen we elkaar.
Het kost € 20,50 met 5% korting.
Dit is de 1e keer, op de 3de dag.
Ze liep 42,195 km met 12 km/h bij -5 °C.
Er waren 1.234.567 mensen in 1999.
Bel 020 123 4567.
Schrijf naar jan@voorbeeld.nl of zie www.voorbeeld.com.
Dhr. Jansen en mevr. de Vries zijn er, o.a. vandaag.
Neem 1/2 liter, bladzijde 5-7.
De bijeenkomst van 3-10-2024 begint om 9:05.
Достоевский betaalde 5 miljoen €.
""",
    "cs": """
Sešli jsme se 3. října 2024 ve 14:30.
Stojí to 20,50 Kč se slevou 5 %.
Je to jeho 1. dům od 1.5.1999.
Uběhla 42,195 km, 2 km a 5 km při -5 °C.
Bylo tam 1 234 567 lidí 2 hodiny.
Volejte +420 221 234 567.
Pište na anna@priklad.cz nebo www.priklad.com.
Např. Ing. Novák a prof. Lis bydlí na ul. Dlouhé.
Vezmi 1/2 litru, strany 5-7.
Měl 1 kg a 1 h času, 21. den.
Достоевский zaplatil 5 mil. Kč.
""",
    "ar": """
التقينا في 3 أكتوبر 2024 الساعة 14:30.
السعر 20.50 $ مع خصم 5%.
كان هناك 1,234,567 شخصا و200 كتاب.
ركضت 42.195 كم بسرعة 12 كم/س.
درجة الحرارة -5°C اليوم.
اتصل على 011 123 4567.
اكتب إلى ali@example.com أو www.example.com.
د. أحمد هنا، إلخ.
خذ 1/2 لتر والصفحات 5-7.
الاجتماع يوم 03/10/2024 الساعة 9:05.
كتب ١٢٣ رسالة إلى Достоевский.
""",
    "zh-cn": """
我们在2024年10月3日14:30见面。
价格是¥20.5，打折5%。
他住在第3层，2024-05-01搬来。
她在-5°C跑了42.195km。
有1,234,567人，10-20个孩子。
请拨打13800138000或010-12345678。
请写信到anna@example.com或访问www.example.com。
加1/2升水和2kg米，2:00到。
1000万元和105个，1010年。
版本1.2.3，mp3，GPT-4。
他读Достоевский，花了$5。
""",
    "hu": """
2024. október 3-án 14:30-kor találkoztunk.
Ez 20 500 Ft, 5% kedvezménnyel.
Ez a 3. emelet, 1999.05.01. óta.
42,195 km-t futott 12 km/h sebességgel -5 °C mellett.
Ott volt 1 234 567 ember 2 óra hosszat.
Hívja a +36 1 234 5678 számot.
Írjon: anna@pelda.hu vagy www.pelda.com.
Dr. Szabó pl. itt lakik a Fő u. mellett.
Végy 1/2 litert, 5-7. oldal.
Ez 50%-os és 5-ös, október 1-jén.
Достоевский 5 millió € árban.
""",
    "ko": """
우리는 2024년 10월 3일 14:30에 만났습니다.
가격은 ₩5,000이고 5% 할인입니다.
오후 3시 30분에 5명이 왔습니다.
-5°C에서 42.195km를 달렸습니다.
사람이 1,234,567명, 개가 3마리 있습니다.
010-1234-5678로 전화하세요.
anna@example.com이나 www.example.com을 보세요.
6월 1일, 1번째, 20살입니다.
물 1/2과 쌀 2kg, 10~20개.
버전 1.2.3, mp3.
Достоевский 책은 $5입니다.
""",
    "ja": """
2024年10月3日14:30に会いました。
価格は¥2,000で、5%引きです。
第3回は2024-05-01です。
-5°Cで42.195km走りました。
1,234,567人と犬が3匹います。
03-1234-5678に電話してください。
anna@example.comかwww.example.comを見てください。
水を1/2、米を2kg、9:05に。
10~20個、1番目、0.5秒。
バージョン1.2.3、mp3。
Достоевскийの本は$5です。
""",
    "hi": """
हम 3 अक्टूबर 2024 को 14:30 बजे मिले।
इसकी कीमत ₹20.50 है, 5% छूट के साथ।
वह 1ला और 20वां है।
वह -5°C में 42.195 किमी दौड़ी।
वहाँ 12,34,567 लोग और १२३ बच्चे थे।
कृपया 011 2345 6789 पर फ़ोन करें।
anna@example.com पर लिखें या www.example.com देखें।
डॉ. शर्मा और प्रो. वर्मा आए।
1/2 लीटर दूध, पृष्ठ 5-7।
बैठक 03/10/2024 को 9:05 पर है।
Достоевский की किताब $5 में।
""",
}


def examples() -> Iterator[tuple[str, str, str]]:
    """Language, text, and what a model is given in its place."""
    for language, lines in _EXAMPLES.items():
        for text in lines.strip().splitlines():
            yield language, text, " ".join(part.text for part in read(text, language))


def readings_table() -> str:
    """Markdown: a row for each example."""
    rows = ["| language | text | becomes |", "| --- | --- | --- |"]
    rows += [f"| {language} | {text} | {said} |" for language, text, said in examples()]
    return "\n".join(rows)
