# Slovene words of the service.
# One message for one thing; identifiers and their order are the same in every language file.
# Slovene counts in four forms: one (1, 101), two (2, 102), few (3, 4, 103), other (0, 5–100).
# The words avoid gender: the directory does not know it.

## Dates

weekday = { $day ->
    [1] ponedeljek
    [2] torek
    [3] sreda
    [4] četrtek
    [5] petek
    [6] sobota
   *[7] nedelja
}
month = { $month ->
    [1] januar
    [2] februar
    [3] marec
    [4] april
    [5] maj
    [6] junij
    [7] julij
    [8] avgust
    [9] september
    [10] oktober
    [11] november
   *[12] december
}
long-date = { $weekday }, { $day }. { $month } { $year }
time-and-zone = { $time } ({ $zone })

## Counts

participants-count = { $count ->
    [one] { $count } udeleženec
    [two] { $count } udeleženca
    [few] { $count } udeleženci
   *[other] { $count } udeležencev
}
attempts-count = { $count ->
    [one] { $count } poskus
    [two] { $count } poskusa
    [few] { $count } poskusi
   *[other] { $count } poskusov
}
were-in = { $count ->
    [one] V konferenci je bil { $count } od { of-participants }.
    [two] V konferenci sta bila { $count } od { of-participants }.
    [few] V konferenci so bili { $count } od { of-participants }.
   *[other] V konferenci je bilo { $count } od { of-participants }.
}
of-participants = { $total ->
    [one] { $total } udeleženca
   *[other] { $total } udeležencev
}
not-priced = { $count ->
    [one] Cena { $count } postavke še ni določena; v vsoti je ni.
    [two] Cena { $count } postavk še ni določena; v vsoti ju ni.
   *[other] Cena { $count } postavk še ni določena; v vsoti jih ni.
}

## Ways of entry

way-web-out = klic s spleta
way-dialled = klic na { $number }
way-onnet-short = klic na kratko številko
way-national = klic iz države
way-international = klic iz tujine

## Outcomes of a leg

outcome-answered = Klic sprejet
outcome-busy = Zasedeno
outcome-no-answer = Ni odgovora
outcome-rejected = Klic zavrnjen
outcome-unreachable = Nedosegljivo
outcome-invalid-number = Napačna številka
outcome-congested = Omrežje zasedeno
outcome-not-accepted = Klic ni potrjen
outcome-cancelled = Preklicano
outcome-failed = Napaka zveze
outcome-open = Zveza še traja
outcome-not-called = Brez klica
not-admitted = brez vstopa v konferenco
attempt = { $number }. poskus
call-in = { $number }. klic
called-at = klicano ob { $time }

## How the end of a leg is known

evidence-switch-record = Konec zveze je vzet iz zapisa centrale.
evidence-snapshot = Konca zveze nismo videli; velja zadnji trenutek, ko je dokazano trajala. Po njem ni zaračunano nič.
evidence-proof-of-life = Povezava s centralo je bila prekinjena; velja zadnji trenutek, ko je zveza dokazano trajala. Po njem ni zaračunano nič.

## Why a conference ended or failed, or was not started at its time

reason-convener-left = Končala se je, ko se je končal klic sklicatelja.
reason-ended-by-convener = Sklicatelj jo je končal.
reason-convener-away = Sklicatelj se ni vrnil v predvidenem času.
reason-max-length = Dosežena je bila najdaljša dovoljena dolžina.
reason-spend-cap = Dnevni znesek, ki se sme porabiti, je bil porabljen.
reason-switch-failed = Centrala je prekinila zveze.
reason-convener-hung-up = Klic sklicatelja se je končal že med pozdravom, zato nismo poklicali nikogar drugega.
reason-convener-busy = Številka sklicatelja je bila zasedena, zato nismo poklicali nikogar drugega.
reason-convener-no-answer = Sklicatelj ni odgovoril, zato nismo poklicali nikogar drugega.
reason-convener-rejected = Klic sklicatelju je bil zavrnjen, zato nismo poklicali nikogar drugega.
reason-convener-unreachable = Sklicatelj ni bil dosegljiv, zato nismo poklicali nikogar drugega.
reason-convener-invalid-number = Številka sklicatelja je napačna, zato nismo poklicali nikogar drugega.
reason-convener-congested = Omrežje do sklicatelja je bilo zasedeno, zato nismo poklicali nikogar drugega.
reason-convener-not-accepted = Klic sklicatelju ni bil potrjen, zato nismo poklicali nikogar drugega.
reason-convener-failed = Zveze s sklicateljem ni bilo mogoče vzpostaviti, zato nismo poklicali nikogar drugega.
reason-not-started = Ob njenem času ni bila na voljo nobena centrala ali pa storitev sama.
reason-account-disabled = Račun je zaklenjen; obrnite se na operaterja.
reason-spend-reached = Dnevni znesek, ki se sme porabiti, je bil porabljen.
reason-number-not-allowed = Ene od številk s tega računa ni dovoljeno klicati.
reason-line-gone = Priključka tega računa ni več v omrežju operaterja; obrnite se na operaterja.
reason-too-many-conferences = Hkrati je že potekalo največje dovoljeno število telekonferenc.

## Report

report-conference = Telekonferenca
report-kind = Poročilo o telekonferenci
report-subject = Poročilo: { $title }, { $date }
report-subject-failed = Telekonferenca ni uspela: { $title }, { $date }
report-file = porocilo
report-failed = Telekonferenca ni uspela.
report-erased = Imena in številke te telekonference so bili po izteku roka hrambe izbrisani ({ $date }). Časi, izidi in stroški ostanejo.
report-erased-person = Udeleženec { $number }
report-running = Telekonferenca še teče; poročilo velja za ta trenutek.
report-convener = Sklicatelj
report-convener-tag = sklicatelj
report-length = Trajanje
report-in = V konferenci
report-in-value = { $count } od { $total }
report-legs = Zveze
report-cost = Strošek z DDV
report-timeline = Kdo je bil kdaj v konferenci
report-timeline-alt = Časovnica od { $start } do { $end }: kdo je bil kdaj v konferenci. Isti podatki so v preglednici vstopov.
report-entries = Vstopi
report-participant = Udeleženec
report-number = Številka
report-way = Način vstopa
report-time-in = Vstop
report-time-out = Izstop
report-time-in-conference = V konferenci
report-outcome = Izid
report-call = Klic
report-conference-component = Konferenca
report-net-hint = Zneski pri vstopih so brez DDV.
report-caller-pays = plača klicatelj
report-not-priced = cena še ni določena
report-total-calls = Klici
report-total-conference = Telekonferenca
report-total-net = Skupaj brez DDV
report-total-vat = DDV { $percent } od { $net }
report-total = Skupaj z DDV
report-cost-heading = Strošek sklicatelja
report-cost-note = Klic na kratko številko v celoti plača klicatelj. Pri klicu na klicno številko storitve klic plača klicatelj svojemu operaterju, konferenco pa sklicatelj.
report-zone-note = Vsi časi so v časovnem pasu { $zone }.
report-zone-unknown = Časovni pas { $zone } ni znan, zato so vsi časi UTC.
report-automatic = To sporočilo je nastalo samodejno po koncu telekonference.
report-attachments = Priloženi sta preglednica (CSV) in časovnica (SVG).
report-nobody = Poklican ni bil nihče.

## Timeline

legend-in = v konferenci
legend-call = na zvezi, zunaj konference
legend-ring = klicanje
legend-fail = klic ni uspel
legend-unsure = konec ni bil viden

## Columns of the CSV

csv-participant = udeleženec
csv-convener = sklicatelj
csv-number = številka
csv-attempt = poskus
csv-way = način vstopa
csv-access-number = klicna številka
csv-called-at = klicano
csv-answered-at = sprejeto
csv-joined-at = vstop
csv-left-at = izstop
csv-ended-at = konec zveze
csv-seconds = sekund v konferenci
csv-outcome = izid
csv-evidence = vir časa
csv-call-payer = klic plača
csv-call-seconds = klic: zaračunanih sekund
csv-call-net = klic brez DDV
csv-call-vat = klic: DDV
csv-conference-payer = konferenco plača
csv-conference-seconds = konferenca: zaračunanih sekund
csv-conference-net = konferenca brez DDV
csv-conference-vat = konferenca: DDV
csv-currency = valuta
csv-time-zone = časovni pas
csv-yes = da
csv-no = ne
csv-payer-convener = sklicatelj
csv-payer-caller = klicatelj
csv-evidence-event = centrala
csv-evidence-switch-record = zapis centrale
csv-evidence-snapshot = stanje centrale
csv-evidence-proof-of-life = zadnji znak zveze

## Messages

letter-sent-by = Sporočilo pošilja { $convener } po storitvi { $brand }.
message-subject = Telekonferenca: { $title }
invitation-subject = Vabilo: { $title }, { $date } ob { $time }
change-subject = Sprememba: { $title }, { $date } ob { $time }
cancellation-subject = Odpovedano: { $title }, { $date } ob { $time }
reminder-subject = Opomnik: { $title }, { $date } ob { $time }
invitation-text = { $convener } vas vabi na telekonferenco.
change-text = Telekonferenca je spremenjena. Veljajo spodnji podatki.
cancellation-text = Telekonferenca je odpovedana.
reminder-text = Telekonferenca se kmalu začne.
plan-agenda = Dnevni red
plan-when = Kdaj
plan-length = Trajanje
plan-minutes = { $count } min
plan-repeats = Ponavljanje
plan-repeats-week = vsak teden, do { $last }
plan-repeats-two-weeks = vsaka dva tedna, do { $last }
plan-repeats-month = vsak mesec, do { $last }
plan-called = Ob začetku vas pokličemo na
plan-access-number = Klicna številka
plan-code = Vaša uporabniška številka
invitation-sms = { $convener } vas vabi na telekonferenco { $title }, { $date } ob { $time }.
change-sms = Telekonferenca { $title } je spremenjena: { $date } ob { $time }.
cancellation-sms = Telekonferenca { $title }, { $date } ob { $time }, je odpovedana.
reminder-sms = Opomnik: telekonferenca { $title }, { $date } ob { $time }.
sms-access-number = Klicna številka { $number }.
sms-code = Uporabniška številka { $code }.
lapse-subject = Ni začeta: { $title }, { $date } ob { $time }
lapse-text = Telekonferenca se ob svojem času ni začela in nihče ni bil poklican.
lapse-advice = Še vedno je načrtovana: začnite jo s spleta, prestavite jo ali odpovejte, da povabljeni izvejo.
