# English words of the service.
# One message for one thing; identifiers and their order are the same in every language file.

## Dates

weekday = { $day ->
    [1] Monday
    [2] Tuesday
    [3] Wednesday
    [4] Thursday
    [5] Friday
    [6] Saturday
   *[7] Sunday
}
month = { $month ->
    [1] January
    [2] February
    [3] March
    [4] April
    [5] May
    [6] June
    [7] July
    [8] August
    [9] September
    [10] October
    [11] November
   *[12] December
}
long-date = { $weekday }, { $day } { $month } { $year }
time-and-zone = { $time } ({ $zone })

## Counts

participants-count = { $count ->
    [one] { $count } participant
   *[other] { $count } participants
}
attempts-count = { $count ->
    [one] { $count } attempt
   *[other] { $count } attempts
}
were-in = { $count ->
    [one] { $count } of { of-participants } was in.
   *[other] { $count } of { of-participants } were in.
}
of-participants = { $total ->
    [one] { $total } participant
   *[other] { $total } participants
}
not-priced = { $count ->
    [one] { $count } item has no price yet; it is not in the total.
   *[other] { $count } items have no price yet; they are not in the total.
}

## Ways of entry

way-web-out = called from the web
way-dialled = dialled { $number }
way-onnet-short = dialled the short number
way-national = dialled in, national
way-international = dialled in from abroad

## Outcomes of a leg

outcome-answered = Answered
outcome-busy = Busy
outcome-no-answer = No answer
outcome-rejected = Rejected
outcome-unreachable = Unreachable
outcome-invalid-number = Wrong number
outcome-congested = Network busy
outcome-not-accepted = Not accepted
outcome-cancelled = Cancelled
outcome-failed = Call failed
outcome-open = Still connected
outcome-not-called = Not called
not-admitted = did not enter the conference
attempt = attempt { $number }
call-in = call { $number }
called-at = called at { $time }

## How the end of a leg is known

evidence-switch-record = The end of this leg is taken from the switch’s record.
evidence-snapshot = The end of this leg was not seen; it counts as over when it was last known to be up. Nothing is charged past that.
evidence-proof-of-life = The link to the switch was down; the leg counts as over when it was last known to be up. Nothing is charged past that.

## Why a conference ended or failed, or was not started at its time

reason-convener-left = It ended when the convener’s call ended.
reason-ended-by-convener = The convener ended it.
reason-convener-away = The convener did not come back in time.
reason-max-length = It reached the longest time allowed.
reason-spend-cap = What may be spent in a day was spent.
reason-switch-failed = The switch dropped the calls.
reason-convener-hung-up = The convener’s call ended during the greeting, so nobody else was called.
reason-convener-busy = The convener’s number was busy, so nobody else was called.
reason-convener-no-answer = The convener did not answer, so nobody else was called.
reason-convener-rejected = The call to the convener was rejected, so nobody else was called.
reason-convener-unreachable = The convener could not be reached, so nobody else was called.
reason-convener-invalid-number = The convener’s number is wrong, so nobody else was called.
reason-convener-congested = The network to the convener was busy, so nobody else was called.
reason-convener-not-accepted = The call to the convener was not accepted, so nobody else was called.
reason-convener-failed = The convener could not be connected, so nobody else was called.
reason-not-started = At its time no switch was available, or the service itself was not.
reason-account-disabled = The account is locked; ask the operator.
reason-spend-reached = What may be spent in a day was spent.
reason-number-not-allowed = One of the numbers may not be called from this account.
reason-line-gone = The line of this account is no longer in the operator’s network; ask the operator.
reason-too-many-conferences = As many conferences ran already as may.

## Report

report-conference = Conference
report-kind = Conference report
report-subject = Report: { $title }, { $date }
report-subject-failed = Conference failed: { $title }, { $date }
report-file = report
report-failed = The conference failed.
report-erased = Names and numbers of this conference were erased on { $date }, after the time for which they are kept. Times, outcomes and costs are kept.
report-erased-person = Participant { $number }
report-running = The conference is still running; this is the report so far.
report-convener = Convener
report-convener-tag = convener
report-length = Length
report-in = In the conference
report-in-value = { $count } of { $total }
report-legs = Legs
report-cost = Cost incl. VAT
report-timeline = Who was in when
report-timeline-alt = Timeline from { $start } to { $end }: who was in the conference when. The table of entries has the same data.
report-entries = Entries
report-participant = Participant
report-number = Number
report-way = Way of entry
report-time-in = In
report-time-out = Out
report-time-in-conference = Time in
report-outcome = Outcome
report-call = Call
report-conference-component = Conference
report-net-hint = Amounts by entry exclude VAT.
report-caller-pays = caller pays
report-not-priced = no price yet
report-total-calls = Calls
report-total-conference = Conference
report-total-net = Total excluding VAT
report-total-vat = VAT { $percent } on { $net }
report-total = Total including VAT
report-cost-heading = The convener’s cost
report-cost-note = A call to the short number is paid wholly by the caller. For the other access numbers the caller pays the call to their own operator, and the convener pays the conference.
report-zone-note = All times are local times in { $zone }.
report-zone-unknown = The time zone { $zone } is not known, so all times are in UTC.
report-automatic = This message was made automatically after the conference.
report-attachments = Attached: a spreadsheet (CSV) and the timeline (SVG).
report-nobody = Nobody was called.

## Timeline

legend-in = in the conference
legend-call = connected, outside the conference
legend-ring = calling
legend-fail = call failed
legend-unsure = end not seen

## Columns of the CSV

csv-participant = participant
csv-convener = convener
csv-number = number
csv-attempt = attempt
csv-way = way of entry
csv-access-number = access number
csv-called-at = called
csv-answered-at = answered
csv-joined-at = in
csv-left-at = out
csv-ended-at = end of the leg
csv-seconds = seconds in the conference
csv-outcome = outcome
csv-evidence = source of the time
csv-call-payer = call paid by
csv-call-seconds = call: seconds charged
csv-call-net = call excluding VAT
csv-call-vat = call: VAT
csv-conference-payer = conference paid by
csv-conference-seconds = conference: seconds charged
csv-conference-net = conference excluding VAT
csv-conference-vat = conference: VAT
csv-currency = currency
csv-time-zone = time zone
csv-yes = yes
csv-no = no
csv-payer-convener = convener
csv-payer-caller = caller
csv-evidence-event = switch
csv-evidence-switch-record = switch record
csv-evidence-snapshot = switch snapshot
csv-evidence-proof-of-life = last sign of life

## Messages

letter-sent-by = { $convener } sends you this by { $brand }.
message-subject = Conference: { $title }
invitation-subject = Invitation: { $title }, { $date } at { $time }
change-subject = Changed: { $title }, { $date } at { $time }
cancellation-subject = Cancelled: { $title }, { $date } at { $time }
reminder-subject = Reminder: { $title }, { $date } at { $time }
invitation-text = { $convener } invites you to a telephone conference.
change-text = The telephone conference has changed. What stands below is valid.
cancellation-text = The telephone conference is cancelled.
reminder-text = The telephone conference begins soon.
plan-agenda = Agenda
plan-when = When
plan-length = Length
plan-minutes = { $count } min
plan-repeats = Repeats
plan-repeats-week = every week, until { $last }
plan-repeats-two-weeks = every two weeks, until { $last }
plan-repeats-month = every month, until { $last }
plan-called = At the start we call you on
plan-access-number = Number to call
plan-code = Your user number
invitation-sms = { $convener } invites you to the conference { $title }, { $date } at { $time }.
change-sms = The conference { $title } has changed: { $date } at { $time }.
cancellation-sms = The conference { $title }, { $date } at { $time }, is cancelled.
reminder-sms = Reminder: conference { $title }, { $date } at { $time }.
sms-access-number = Number to call: { $number }.
sms-code = User number: { $code }.
lapse-subject = Not started: { $title }, { $date } at { $time }
lapse-text = The telephone conference was not started at its time, and nobody was called.
lapse-advice = It is still planned: start it from the web, give it another time, or cancel it, so that those who were invited are told.
