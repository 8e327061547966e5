"""The truth table: what each sentence must become, thought about one by one. Used by the tests beside it."""

SAID = {
    "en": [
        (
            "On October 3, 2024 at 2:30 p.m. we met.",
            "On October third, twenty twenty-four at two thirty p m we met.",
        ),
        (
            "It costs $20.50, or £3 with 5% off.",
            "It costs twenty dollars and fifty cents, or three pounds with five percent off.",
        ),
        (
            "The 1st of 2024-01-02 came at 14:05.",
            "The first of January second, twenty twenty-four came at fourteen oh five.",
        ),
        (
            "She ran 42.195 km at 12 km/h in -5°C.",
            "She ran forty-two point one nine five kilometers at twelve kilometers per hour in minus five "
            "degrees Celsius.",
        ),
        (
            "In 1999 there were 1,234,567 people; in the 1990s, fewer.",
            "In nineteen ninety-nine there were one million two hundred and thirty-four thousand five hundred "
            "and sixty-seven people; in the nineteen nineties, fewer.",
        ),
        (
            "Call +49 30 1234567 or (555) 123-4567.",
            "Call plus four nine, three zero, one two three four five six seven or five five five, one two "
            "three, four five six seven.",
        ),
        (
            "Write to john_doe@example.com or see https://www.example.com/news.",
            "Write to john underscore doe at example dot com or see w w w dot example dot com slash news.",
        ),
        (
            "Dr. Smith lives on Main St., e.g. near St. Paul.",
            "Doctor Smith lives on Main Street, for example near Saint Paul.",
        ),
        (
            "Add 2 1/2 cups, 1/3 of it on the 21st, pages 5-7.",
            "Add two and one half cups, one third of it on the twenty-first, pages five to seven.",
        ),
        (
            "Room 007, mp3, COVID-19, version 1.2.3 and 0.05.",
            "Room zero zero seven, mp three, COVID-nineteen, version one dot two dot three and zero point zero five.",
        ),
        (
            "Достоевский met 世界 in Łódź for €5 million.",
            "Dostoevskiy met ShiJie in Lódź for five million euros.",
        ),
    ],
    "es": [
        (
            "El 3 de octubre de 2024 a las 14:30 nos vimos.",
            "El tres de octubre de dos mil veinticuatro a las catorce y treinta nos vimos.",
        ),
        (
            "Cuesta 20,50 € con un 5% de descuento.",
            "Cuesta veinte euros con cincuenta céntimos con un cinco por ciento de descuento.",
        ),
        ("Vive en el 3º piso desde el 1 de mayo.", "Vive en el tercer piso desde el primero de mayo."),
        (
            "Corrió 42,195 km a 12 km/h con -5 °C.",
            "Corrió cuarenta y dos coma ciento noventa y cinco kilómetros a doce kilómetros por hora con menos "
            "cinco grados Celsius.",
        ),
        (
            "En 1999 había 1.234.567 personas y 21 gramos de sal.",
            "En mil novecientos noventa y nueve había un millón doscientas treinta y cuatro mil quinientas "
            "sesenta y siete personas y veintiún gramos de sal.",
        ),
        (
            "Llame al 091 123 45 67 o al +34 912 345 678.",
            "Llame al cero nueve uno, uno dos tres, cuatro cinco, seis siete o al más tres cuatro, nueve uno "
            "dos, tres cuatro cinco, seis siete ocho.",
        ),
        (
            "Escriba a ana@ejemplo.es o visite www.ejemplo.com.",
            "Escriba a ana arroba ejemplo punto e s o visite w w w punto ejemplo punto com.",
        ),
        (
            "La Sra. Pérez y el Dr. Ruiz, p. ej., llegaron.",
            "La señora Pérez y el doctor Ruiz, por ejemplo, llegaron.",
        ),
        ("Tome 1/2 litro, 2 horas y 1 minuto después.", "Tome medio litro, dos horas y un minuto después."),
        (
            "La reunión del 03/10/2024 duró 1 h.",
            "La reunión del tres de octubre de dos mil veinticuatro duró una hora.",
        ),
        ("Достоевский pagó $1.234.", "Dostoevskiy pagó mil doscientos treinta y cuatro dólares."),
    ],
    "fr": [
        (
            "Le 1er mai 2024 à 14h30, nous étions là.",
            "Le premier mai deux mille vingt-quatre à quatorze heures trente, nous étions là.",
        ),
        (
            "Cela coûte 1 250,50 € avec 5 % de remise.",
            "Cela coûte mille deux cent cinquante euros cinquante centimes avec cinq pour cent de remise.",
        ),
        (
            "Il habite au 2e étage depuis le 3 octobre 1999.",
            "Il habite au deuxième étage depuis le trois octobre mille neuf cent quatre-vingt-dix-neuf.",
        ),
        (
            "Elle a couru 42,195 km à 12 km/h par -5 °C.",
            "Elle a couru quarante-deux virgule cent quatre-vingt-quinze kilomètres à douze kilomètres à l'heure "
            "par moins cinq degrés Celsius.",
        ),
        (
            "Il y avait 1 234 567 personnes et 21 heures de route.",
            "Il y avait un million deux cent trente-quatre mille cinq cent soixante-sept personnes et vingt et "
            "une heures de route.",
        ),
        ("Appelez le 01 23 45 67 89.", "Appelez le zéro un, deux trois, quatre cinq, six sept, huit neuf."),
        (
            "Écrivez à jean@exemple.fr ou www.exemple.com.",
            "Écrivez à jean arobase exemple point f r ou w w w point exemple point com.",
        ),
        (
            "M. Dupont et Mme Moreau, p. ex., sont venus.",
            "Monsieur Dupont et Madame Moreau, par exemple, sont venus.",
        ),
        (
            "Ajoutez 1/2 litre et 3/4 de tasse, pages 5-7.",
            "Ajoutez un demi litre et trois quarts de tasse, pages cinq à sept.",
        ),
        (
            "La réunion du 03/10/2024 commence à 9:05.",
            "La réunion du trois octobre deux mille vingt-quatre commence à neuf heures cinq.",
        ),
        ("Достоевский a payé 5 millions €.", "Dostoevskiy a payé cinq millions d'euros."),
    ],
    "de": [
        (
            "Am 3. Oktober 2024 um 14:30 Uhr trafen wir uns.",
            "Am dritten Oktober zweitausendvierundzwanzig um vierzehn Uhr dreißig trafen wir uns.",
        ),
        (
            "Das kostet 20,50 € mit 5 % Rabatt.",
            "Das kostet zwanzig Euro fünfzig Cent mit fünf Prozent Rabatt.",
        ),
        ("Der 3. Tag war der 1.5.1999.", "Der dritte Tag war der erste Mai neunzehnhundertneunundneunzig."),
        (
            "Sie lief 42,195 km mit 12 km/h bei -5 °C.",
            "Sie lief zweiundvierzig Komma eins neun fünf Kilometer mit zwölf Kilometer pro Stunde bei minus "
            "fünf Grad Celsius.",
        ),
        (
            "Es kamen 1.234.567 Menschen, 1 Stunde lang.",
            "Es kamen eine Million zweihundertvierunddreißigtausendfünfhundertsiebenundsechzig Menschen, eine "
            "Stunde lang.",
        ),
        ("Ich bin 30. Du bist älter.", "Ich bin dreißig. Du bist älter."),
        (
            "Rufen Sie 030 1234567 an, oder +49 30 7654321.",
            "Rufen Sie null drei null, eins zwei drei vier fünf sechs sieben an, oder plus vier neun, drei null, "
            "sieben sechs fünf vier drei zwei eins.",
        ),
        (
            "Schreiben Sie an anna@beispiel.de oder www.beispiel.de.",
            "Schreiben Sie an anna at beispiel Punkt d e oder w w w Punkt beispiel Punkt d e.",
        ),
        ("Dr. Müller kommt z.B. um 9 Uhr.", "Doktor Müller kommt zum Beispiel um neun Uhr."),
        (
            "Nimm 1/2 Liter, Seite 5-7, in den 90er Jahren.",
            "Nimm ein halb Liter, Seite fünf bis sieben, in den neunziger Jahren.",
        ),
        ("Достоевский zahlte 5 Mio. €.", "Dostoevskiy zahlte fünf Millionen Euro."),
    ],
    "it": [
        (
            "Il 1 maggio 2024 alle 14:30 ci siamo visti.",
            "Il primo maggio duemilaventiquattro alle quattordici e trenta ci siamo visti.",
        ),
        (
            "Costa 20,50 € con il 5% di sconto.",
            "Costa venti euro e cinquanta centesimi con il cinque per cento di sconto.",
        ),
        (
            "Abita al 3º piano dal 3 ottobre 1999.",
            "Abita al terzo piano dal tre ottobre millenovecentonovantanove.",
        ),
        (
            "Ha corso 42,195 km a 12 km/h con -5 °C.",
            "Ha corso quarantadue virgola centonovantacinque chilometri a dodici chilometri all'ora con meno "
            "cinque gradi Celsius.",
        ),
        (
            "C'erano 1.234.567 persone e 21 grammi di sale.",
            "C'erano un milione duecentotrentaquattromilacinquecentosessantasette persone e ventuno grammi di sale.",
        ),
        ("Chiami lo 02 1234567.", "Chiami lo zero due, uno due tre quattro cinque sei sette."),
        (
            "Scriva a anna@esempio.it o visiti www.esempio.com.",
            "Scriva a anna chiocciola esempio punto i t o visiti w w w punto esempio punto com.",
        ),
        ("La Sig.ra Rossi e il Dott. Bianchi sono qui.", "La signora Rossi e il dottor Bianchi sono qui."),
        (
            "Aggiungi 1/2 litro e 3/4 di tazza, pagine 5-7.",
            "Aggiungi mezzo litro e tre quarti di tazza, pagine cinque a sette.",
        ),
        (
            "La riunione del 03/10/2024 dura 1 ora.",
            "La riunione del tre ottobre duemilaventiquattro dura un'ora.",
        ),
        ("Достоевский pagò $1.234.", "Dostoevskiy pagò milleduecentotrentaquattro dollari."),
    ],
    "pt": [
        (
            "No dia 3 de outubro de 2024 às 14h30 nos vimos.",
            "No dia três de outubro de dois mil e vinte e quatro às catorze e trinta nos vimos.",
        ),
        (
            "Custa R$ 20,50 com 5% de desconto.",
            "Custa vinte reais e cinquenta centavos com cinco por cento de desconto.",
        ),
        (
            "Mora no 3º andar desde 1 de maio de 1999.",
            "Mora no terceiro andar desde primeiro de maio de mil novecentos e noventa e nove.",
        ),
        (
            "Ela correu 42,195 km a 12 km/h com -5 °C.",
            "Ela correu quarenta e dois vírgula cento e noventa e cinco quilômetros a doze quilômetros por hora "
            "com menos cinco graus Celsius.",
        ),
        (
            "Havia 1.234.567 pessoas por 2 horas.",
            "Havia um milhão duzentas e trinta e quatro mil quinhentas e sessenta e sete pessoas por duas horas.",
        ),
        ("Ligue para 011 1234-5678.", "Ligue para zero um um, um dois três quatro, cinco seis sete oito."),
        (
            "Escreva para ana@exemplo.br ou veja www.exemplo.com.",
            "Escreva para ana arroba exemplo ponto b r ou veja w w w ponto exemplo ponto com.",
        ),
        ("A Sra. Silva e o Dr. Costa chegaram.", "A senhora Silva e o doutor Costa chegaram."),
        (
            "Use 1/2 litro e 3/4 de xícara, páginas 5-7.",
            "Use meio litro e três quartos de xícara, páginas cinco a sete.",
        ),
        (
            "A reunião de 03/10/2024 começa às 9:05.",
            "A reunião de três de outubro de dois mil e vinte e quatro começa às nove e cinco.",
        ),
        ("Достоевский pagou €1.", "Dostoevskiy pagou um euro."),
    ],
    "pl": [
        (
            "Spotkaliśmy się 3 października 2024 r. o 14:30.",
            "Spotkaliśmy się trzeciego października dwa tysiące dwudziestego czwartego roku o czternastej trzydzieści.",
        ),
        (
            "To kosztuje 20,50 zł z rabatem 5%.",
            "To kosztuje dwadzieścia złotych pięćdziesiąt groszy z rabatem pięć procent.",
        ),
        (
            "To jego 3. dom od 01.05.1999.",
            "To jego trzeci dom od pierwszego maja tysiąc dziewięćset dziewięćdziesiątego dziewiątego roku.",
        ),
        (
            "Przebiegła 42,195 km, 22 km i 5 km przy -5 °C.",
            "Przebiegła czterdzieści dwa przecinek sto dziewięćdziesiąt pięć kilometra, dwadzieścia dwa "
            "kilometry i pięć kilometrów przy minus pięć stopni Celsjusza.",
        ),
        (
            "Było tam 1 234 567 osób przez 2 godziny.",
            "Było tam milion dwieście trzydzieści cztery tysiące pięćset sześćdziesiąt siedem osób przez dwie godziny.",
        ),
        (
            "Proszę dzwonić: +48 22 123 45 67.",
            "Proszę dzwonić: plus cztery osiem, dwa dwa, jeden dwa trzy, cztery pięć, sześć siedem.",
        ),
        (
            "Proszę pisać: anna@przyklad.pl albo www.przyklad.com.",
            "Proszę pisać: anna małpa przyklad kropka p l albo w w w kropka przyklad kropka com.",
        ),
        (
            "Np. dr Nowak i prof. Lis mieszkają na ul. Długiej.",
            "Na przykład doktor Nowak i profesor Lis mieszkają na ulica Długiej.",
        ),
        ("Weź 1/2 litra, strony 5-7.", "Weź pół litra, strony pięć - siedem."),
        (
            "W 2024 roku miał 1 kg i 2 t.",
            "W dwa tysiące dwudziestym czwartym roku miał jeden kilogram i dwie tony.",
        ),
        ("Достоевский zapłacił 5 mln zł.", "Dostoevskiy zapłacił pięć milionów złotych."),
    ],
    "tr": [
        (
            "3 Ekim 2024'te saat 14:30'da buluştuk.",
            "Üç Ekim iki bin yirmi dörtte saat on dört otuzda buluştuk.",
        ),
        ("Fiyatı 20,50 ₺ ve %5 indirim var.", "Fiyatı yirmi lira elli kuruş ve yüzde beş indirim var."),
        ("Bu onun 3. evi, 2. kat.", "Bu onun üçüncü evi, ikinci kat."),
        (
            "-5 °C havada 42,195 km koştu.",
            "Eksi beş santigrat derece havada kırk iki virgül yüz doksan beş kilometre koştu.",
        ),
        (
            "1.234.567 kişi 21 saat bekledi.",
            "Bir milyon iki yüz otuz dört bin beş yüz altmış yedi kişi yirmi bir saat bekledi.",
        ),
        (
            "Bizi 0212 345 67 89 numarasından arayın.",
            "Bizi sıfır iki bir iki, üç dört beş, altı yedi, sekiz dokuz numarasından arayın.",
        ),
        (
            "Bize ayse@ornek.com adresine yazın ya da www.ornek.com.",
            "Bize ayse et ornek nokta com adresine yazın ya da w w w nokta ornek nokta com.",
        ),
        ("Dr. Ayşe, örn. burada.", "Doktor Ayşe, örneğin burada."),
        ("1/2 litre süt, sayfa 5-7.", "Yarım litre süt, sayfa beş ile yedi."),
        ("Toplantı 03.10.2024 günü 9:05'te.", "Toplantı üç Ekim iki bin yirmi dört günü dokuz sıfır beşte."),
        ("Достоевский 5 milyon $ ödedi.", "Dostoevskiy beş milyon dolar ödedi."),
    ],
    "ru": [
        (
            "Мы встретились 3 октября 2024 года в 14:30.",
            "Мы встретились третьего октября две тысячи двадцать четвёртого года в четырнадцать тридцать.",
        ),
        (
            "Это стоит 20,50 ₽ со скидкой 5%.",
            "Это стоит двадцать рублей пятьдесят копеек со скидкой пять процентов.",
        ),
        (
            "Он жил на 3-м этаже с 01.05.1999.",
            "Он жил на третьем этаже с первого мая тысяча девятьсот девяносто девятого года.",
        ),
        (
            "Она пробежала 21 км, 22 км и 5 км при -5 °C.",
            "Она пробежала двадцать один километр, двадцать два километра и пять километров при минус пять "
            "градусов Цельсия.",
        ),
        (
            "Там было 1 234 567 человек и 2 тонны.",
            "Там было один миллион двести тридцать четыре тысячи пятьсот шестьдесят семь человек и две тонны.",
        ),
        (
            "Звоните: +7 495 123-45-67.",
            "Звоните: плюс семь, четыре девять пять, один два три, четыре пять, шесть семь.",
        ),
        (
            "Пишите на anna@primer.ru или www.primer.com.",
            "Пишите на anna собака primer точка r u или w w w точка primer точка com.",
        ),
        ("Д-р Смирнов, т.е. врач, и г-н Иванов.", "Доктор Смирнов, то есть врач, и господин Иванов."),
        ("Возьмите 1/2 литра, страницы 5-7.", "Возьмите одна вторая литра, страницы пять - семь."),
        ("В 2024 году, в 60-х, 1-й раз.", "В две тысячи двадцать четвёртом году, в шестидесятых, первый раз."),
        ("Это 世界 за 5 млн $.", "Это ShiJie за пять миллионов долларов."),
    ],
    "nl": [
        (
            "Op 3 oktober 2024 om 14:30 uur zagen we elkaar.",
            "Op drie oktober tweeduizendvierentwintig om veertien uur dertig zagen we elkaar.",
        ),
        ("Het kost € 20,50 met 5% korting.", "Het kost twintig euro vijftig cent met vijf procent korting."),
        ("Dit is de 1e keer, op de 3de dag.", "Dit is de eerste keer, op de derde dag."),
        (
            "Ze liep 42,195 km met 12 km/h bij -5 °C.",
            "Ze liep tweeënveertig komma honderdvijfennegentig kilometer met twaalf kilometer per uur bij min "
            "vijf graden Celsius.",
        ),
        (
            "Er waren 1.234.567 mensen in 1999.",
            "Er waren een miljoen tweehonderdvierendertigduizendvijfhonderdzevenenzestig mensen in "
            "negentienhonderdnegenennegentig.",
        ),
        ("Bel 020 123 4567.", "Bel nul twee nul, één twee drie, vier vijf zes zeven."),
        (
            "Schrijf naar jan@voorbeeld.nl of zie www.voorbeeld.com.",
            "Schrijf naar jan apenstaartje voorbeeld punt n l of zie w w w punt voorbeeld punt com.",
        ),
        (
            "Dhr. Jansen en mevr. de Vries zijn er, o.a. vandaag.",
            "De heer Jansen en mevrouw de Vries zijn er, onder andere vandaag.",
        ),
        ("Neem 1/2 liter, bladzijde 5-7.", "Neem een half liter, bladzijde vijf tot zeven."),
        (
            "De bijeenkomst van 3-10-2024 begint om 9:05.",
            "De bijeenkomst van drie oktober tweeduizendvierentwintig begint om negen uur vijf.",
        ),
        ("Достоевский betaalde 5 miljoen €.", "Dostoevskiy betaalde vijf miljoen euro."),
    ],
    "cs": [
        (
            "Sešli jsme se 3. října 2024 ve 14:30.",
            "Sešli jsme se třetího října dva tisíce dvacet čtyři ve čtrnáct hodin třicet.",
        ),
        ("Stojí to 20,50 Kč se slevou 5 %.", "Stojí to dvacet korun padesát haléřů se slevou pět procent."),
        (
            "Je to jeho 1. dům od 1.5.1999.",
            "Je to jeho první dům od prvního května tisíc devět set devadesát devět.",
        ),
        (
            "Uběhla 42,195 km, 2 km a 5 km při -5 °C.",
            "Uběhla čtyřicet dvě celých sto devadesát pět kilometru, dva kilometry a pět kilometrů při mínus pět "
            "stupňů Celsia.",
        ),
        (
            "Bylo tam 1 234 567 lidí 2 hodiny.",
            "Bylo tam milion dvě stě třicet čtyři tisíce pět set šedesát sedm lidí dvě hodiny.",
        ),
        (
            "Volejte +420 221 234 567.",
            "Volejte plus čtyři dva nula, dva dva jedna, dva tři čtyři, pět šest sedm.",
        ),
        (
            "Pište na anna@priklad.cz nebo www.priklad.com.",
            "Pište na anna zavináč priklad tečka c z nebo w w w tečka priklad tečka com.",
        ),
        (
            "Např. Ing. Novák a prof. Lis bydlí na ul. Dlouhé.",
            "Například Inženýr Novák a profesor Lis bydlí na ulice Dlouhé.",
        ),
        ("Vezmi 1/2 litru, strany 5-7.", "Vezmi jedna polovina litru, strany pět až sedm."),
        ("Měl 1 kg a 1 h času, 21. den.", "Měl jeden kilogram a jedna hodina času, dvacátý první den."),
        ("Достоевский zaplatil 5 mil. Kč.", "Dostoevskiy zaplatil pět milionů korun."),
    ],
    "ar": [
        (
            "التقينا في 3 أكتوبر 2024 الساعة 14:30.",
            "التقينا في ثلاثة أكتوبر ألفان وأربعة وعشرون الساعة الثانية وثلاثون دقيقة مساء.",
        ),
        ("السعر 20.50 $ مع خصم 5%.", "السعر عشرون دولار وخمسون سنت مع خصم خمسة بالمئة."),
        (
            "كان هناك 1,234,567 شخصا و200 كتاب.",
            "كان هناك مليون ومئتان وأربعة وثلاثون ألفاً وخمسمائة وسبعة وستون شخصا ومئتان كتاب.",
        ),
        (
            "ركضت 42.195 كم بسرعة 12 كم/س.",
            "ركضت اثنان وأربعون فاصلة مائة وخمسة وتسعون كيلومتر بسرعة اثنا عشر كيلومتر في الساعة.",
        ),
        ("درجة الحرارة -5°C اليوم.", "درجة الحرارة ناقص خمسة درجة مئوية اليوم."),
        ("اتصل على 011 123 4567.", "اتصل على صفر واحد واحد، واحد اثنان ثلاثة، أربعة خمسة ستة سبعة."),
        (
            "اكتب إلى ali@example.com أو www.example.com.",
            "اكتب إلى ali آت example نقطة com أو w w w نقطة example نقطة com.",
        ),
        ("د. أحمد هنا، إلخ.", "دكتور أحمد هنا، إلى آخره."),
        ("خذ 1/2 لتر والصفحات 5-7.", "خذ نصف لتر والصفحات خمسة إلى سبعة."),
        (
            "الاجتماع يوم 03/10/2024 الساعة 9:05.",
            "الاجتماع يوم ثلاثة أكتوبر ألفان وأربعة وعشرون الساعة التاسعة وخمسة دقيقة.",
        ),
        ("كتب ١٢٣ رسالة إلى Достоевский.", "كتب مائة وثلاثة وعشرون رسالة إلى Dostoevskiy."),
    ],
    "zh-cn": [
        ("我们在2024年10月3日14:30见面。", "我们在二零二四年十月三日十四点三十分见面。"),
        ("价格是¥20.5，打折5%。", "价格是二十点五元，打折百分之五。"),
        ("他住在第3层，2024-05-01搬来。", "他住在第三层，二零二四年五月一日搬来。"),
        ("她在-5°C跑了42.195km。", "她在负五摄氏度跑了四十二点一九五公里。"),
        ("有1,234,567人，10-20个孩子。", "有一百二十三万四千五百六十七人，十到二十个孩子。"),
        ("请拨打13800138000或010-12345678。", "请拨打一三八零零一三八零零零或零一零、一二三四五六七八。"),
        (
            "请写信到anna@example.com或访问www.example.com。",
            "请写信到 anna 艾特 example 点 com 或访问 w w w 点 example 点 com。",
        ),
        ("加1/2升水和2kg米，2:00到。", "加二分之一升水和两公斤米，两点到。"),
        ("1000万元和105个，1010年。", "一千万元和一百零五个，一零一零年。"),
        ("版本1.2.3，mp3，GPT-4。", "版本一点二点三，mp 三，GPT-四。"),
        ("他读Достоевский，花了$5。", "他读 Dostoevskiy，花了五美元。"),
    ],
    "hu": [
        (
            "2024. október 3-án 14:30-kor találkoztunk.",
            "Kétezer-huszonnégy október harmadikán tizennégy óra harminc perckor találkoztunk.",
        ),
        ("Ez 20 500 Ft, 5% kedvezménnyel.", "Ez húszezer-ötszáz forint, öt százalék kedvezménnyel."),
        (
            "Ez a 3. emelet, 1999.05.01. óta.",
            "Ez a harmadik emelet, ezerkilencszázkilencvenkilenc május elseje óta.",
        ),
        (
            "42,195 km-t futott 12 km/h sebességgel -5 °C mellett.",
            "Negyvenkettő egész százkilencvenöt kilométert futott tizenkét kilométer per óra sebességgel mínusz "
            "öt Celsius-fok mellett.",
        ),
        (
            "Ott volt 1 234 567 ember 2 óra hosszat.",
            "Ott volt egymillió-kétszázharmincnégyezer-ötszázhatvanhét ember két óra hosszat.",
        ),
        (
            "Hívja a +36 1 234 5678 számot.",
            "Hívja a plusz három hat, egy, kettő három négy, öt hat hét nyolc számot.",
        ),
        (
            "Írjon: anna@pelda.hu vagy www.pelda.com.",
            "Írjon: anna kukac pelda pont h u vagy w w w pont pelda pont com.",
        ),
        ("Dr. Szabó pl. itt lakik a Fő u. mellett.", "Doktor Szabó például itt lakik a Fő utca mellett."),
        ("Végy 1/2 litert, 5-7. oldal.", "Végy fél litert, öttől hetedik oldal."),
        ("Ez 50%-os és 5-ös, október 1-jén.", "Ez ötven százalékos és ötös, október elsején."),
        ("Достоевский 5 millió € árban.", "Dostoevskiy öt millió euró árban."),
    ],
    "ko": [
        (
            "우리는 2024년 10월 3일 14:30에 만났습니다.",
            "우리는 이천이십사년 시월 삼일 십사 시 삼십 분에 만났습니다.",
        ),
        ("가격은 ₩5,000이고 5% 할인입니다.", "가격은 오천 원이고 오 퍼센트 할인입니다."),
        ("오후 3시 30분에 5명이 왔습니다.", "오후 세 시 삼십분에 다섯 명이 왔습니다."),
        ("-5°C에서 42.195km를 달렸습니다.", "마이너스 오 도에서 사십이 점 일 구 오 킬로미터를 달렸습니다."),
        (
            "사람이 1,234,567명, 개가 3마리 있습니다.",
            "사람이 백이십삼만 사천오백육십칠명, 개가 세 마리 있습니다.",
        ),
        ("010-1234-5678로 전화하세요.", "영 일 영, 일 이 삼 사, 오 육 칠 팔로 전화하세요."),
        (
            "anna@example.com이나 www.example.com을 보세요.",
            "anna 골뱅이 example 점 com 이나 w w w 점 example 점 com을 보세요.",
        ),
        ("6월 1일, 1번째, 20살입니다.", "유월 일일, 첫 번째, 스무 살입니다."),
        ("물 1/2과 쌀 2kg, 10~20개.", "물 이분의 일과 쌀 이 킬로그램, 십에서 스무 개."),
        ("버전 1.2.3, mp3.", "버전 일 점 이 점 삼, mp 삼."),
        ("Достоевский 책은 $5입니다.", "Dostoevskiy 책은 오 달러입니다."),
    ],
    "ja": [
        ("2024年10月3日14:30に会いました。", "二千二十四年十月三日十ヨジ三ジュップンに会いました。"),
        ("価格は¥2,000で、5%引きです。", "価格は二千円で、五パーセント引きです。"),
        ("第3回は2024-05-01です。", "第三回は二千二十四年五月一日です。"),
        ("-5°Cで42.195km走りました。", "マイナス五度で四十二点一九五キロメートル走りました。"),
        ("1,234,567人と犬が3匹います。", "百二十三万四千五百六十七人と犬がサンビキいます。"),
        ("03-1234-5678に電話してください。", "ゼロ三、一二三四、五六七八に電話してください。"),
        (
            "anna@example.comかwww.example.comを見てください。",
            "anna アットマーク example ドット com か w w w ドット example ドット com を見てください。",
        ),
        ("水を1/2、米を2kg、9:05に。", "水を二分の一、米を二キログラム、クジ五分に。"),
        ("10~20個、1番目、0.5秒。", "十から二十個、一番目、ゼロ点五秒。"),
        ("バージョン1.2.3、mp3。", "バージョン一ドット二ドット三、mp三。"),
        ("Достоевскийの本は$5です。", "Dostoevskiyの本は五ドルです。"),
    ],
    "hi": [
        ("हम 3 अक्टूबर 2024 को 14:30 बजे मिले।", "हम तीन अक्टूबर दो हज़ार चौबीस को चौदह बजकर तीस मिनट मिले।"),
        ("इसकी कीमत ₹20.50 है, 5% छूट के साथ।", "इसकी कीमत बीस रुपये पचास पैसे है, पाँच प्रतिशत छूट के साथ।"),
        ("वह 1ला और 20वां है।", "वह पहला और बीसवां है।"),
        (
            "वह -5°C में 42.195 किमी दौड़ी।",
            "वह माइनस पाँच डिग्री सेल्सियस में बयालीस दशमलव एक नौ पाँच किलोमीटर दौड़ी।",
        ),
        (
            "वहाँ 12,34,567 लोग और १२३ बच्चे थे।",
            "वहाँ बारह लाख चौंतीस हज़ार पाँच सौ सड़सठ लोग और एक सौ तेईस बच्चे थे।",
        ),
        (
            "कृपया 011 2345 6789 पर फ़ोन करें।",
            "कृपया शून्य एक एक, दो तीन चार पाँच, छह सात आठ नौ पर फ़ोन करें।",
        ),
        (
            "anna@example.com पर लिखें या www.example.com देखें।",
            "anna ऐट example डॉट com पर लिखें या w w w डॉट example डॉट com देखें।",
        ),
        ("डॉ. शर्मा और प्रो. वर्मा आए।", "डॉक्टर शर्मा और प्रोफ़ेसर वर्मा आए।"),
        ("1/2 लीटर दूध, पृष्ठ 5-7।", "आधा लीटर दूध, पृष्ठ पाँच से सात।"),
        ("बैठक 03/10/2024 को 9:05 पर है।", "बैठक तीन अक्टूबर दो हज़ार चौबीस को नौ बजकर पाँच मिनट पर है।"),
        ("Достоевский की किताब $5 में।", "Dostoevskiy की किताब पाँच डॉलर में।"),
    ],
}
