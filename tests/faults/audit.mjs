// The auditor: compares three accounts of the same calls and lists what differs, in seconds and in money. Pure, and without a line of the service's code.
//
// - `calls`: what the phones saw (`phones.mjs`), null where there are no phones;
// - `records`: what the switch wrote down (`switch.mjs`), null where it writes nothing;
// - `conferences`: what the service reports and charges.
// Times of phones and switch are milliseconds of the epoch, money is in 1/10000.

/** What is granted to scheduling and to the wire when the service saw the end itself. */
export const SLACK = 1.0;
/** The service's own promise (ARCHITECTURE.md, "How far an end may be off"): snapshots every 5 s, notes of them every 2 s. */
export const SNAPSHOT_PACE = 5;
export const NOTE_PACE = 2;
/** How long it may take after the mending until service and switch talk again. */
const RECOVERY = 8;
/** A call that the switch took back at the moment of its answer counts as never answered. */
const CROSSED = 1.5;
/** The lab's tariff (tariff.csv): connect fee, and the price of a second. */
const PRICES = { call: { fee: 500, second: 10 }, conference: { fee: 0, second: 5 } };

/** Milliseconds with what a Date leaves out: the service tells microseconds, and a second more is charged from the first of them on. */
const time = (text) => (text ? Date.parse(text) + Number(`0.${/\.\d{3}(\d+)/.exec(text)?.[1] ?? '0'}`) : null);
const seconds = (milliseconds) => milliseconds / 1000;
const price = (component, length) => (length > 0 ? PRICES[component].fee + PRICES[component].second * length : 0);

/** When the switch died, if it did while this call was up: nobody heard of the end then, nor of an answer that came too late. */
function deathOf(call, faults) {
  return faults.find((fault) => ['switch-killed', 'switch-stopped'].includes(fault.what) && call.invited <= fault.hurt && (call.ended === null || call.ended > fault.hurt)) ?? null;
}

/** How much too early an end may be, by how it is known. */
export function bound(evidence, faults) {
  const gap = faults.reduce((sum, fault) => sum + seconds(fault.to - fault.from), 0) + (faults.length > 0 ? RECOVERY : 0);
  if (evidence === 'snapshot') return SNAPSHOT_PACE + gap;
  if (evidence === 'proof_of_life') {
    const deaths = faults.filter((fault) => fault.what.startsWith('switch-'));
    // Nobody was listening already when the switch died: from then on there is no proof.
    const blind = Math.max(0, ...deaths.map((death) => Math.max(0, ...faults.filter((other) => other !== death && other.from < death.hurt).map((other) => seconds(death.hurt - other.from)))));
    return SNAPSHOT_PACE + NOTE_PACE + blind;
  }
  return SLACK;
}

/** Which answered call of a number is which answered leg: nearest first. */
function pair(legs, calls) {
  const pairs = [];
  const free = { legs: [...legs], calls: [...calls] };
  while (free.legs.length > 0 && free.calls.length > 0) {
    let best = null;
    for (const leg of free.legs) for (const call of free.calls) {
      const distance = Math.abs(time(leg.answered_at) - call.answered);
      if (!best || distance < best.distance) best = { leg, call, distance };
    }
    pairs.push(best);
    free.legs.splice(free.legs.indexOf(best.leg), 1);
    free.calls.splice(free.calls.indexOf(best.call), 1);
  }
  return { pairs, legs: free.legs, calls: free.calls };
}

/** The rows that count: neither reversed nor a reversal. */
function standing(charges) {
  const reversed = new Set(charges.map((row) => row.reverses).filter(Boolean));
  return charges.filter((row) => !row.reverses && !reversed.has(row.id));
}

/** Audits one run: `{ findings, differences }`. A finding is a broken promise, a difference is listed whether it breaks one or not. */
export function audit({ conferences, calls, records, faults }) {
  const findings = [];
  const differences = [];
  const find = (check, words, more = {}) => findings.push({ check, words, ...more });
  const known = new Set();

  for (const conference of conferences) {
    const { id, report } = conference;
    if (!report) {
      find('conference stuck', `conference ${id} has no report`, { conference: id });
      continue;
    }
    if (!['ended', 'failed'].includes(report.state)) find('conference stuck', `conference ${id} is ${report.state}`, { conference: id });
    const legs = report.participants.flatMap((person) => person.legs.map((leg) => ({ ...leg, number: leg.number || person.number })));
    for (const leg of legs) {
      known.add(leg.leg);
      if (!leg.ended_at) find('conference stuck', `leg ${leg.leg} has no end`, { conference: id, leg: leg.leg });
    }
    auditCharges(conference, legs, find);
    if (calls) auditCalls(conference, legs, calls, faults, find, differences);
    if (records) auditRecords(id, legs, records, find);
  }

  if (calls) {
    const numbers = new Set(conferences.flatMap(({ numbers }) => numbers));
    const reported = new Set(conferences.flatMap(({ report }) => report?.participants.flatMap((person) => [person.number, ...person.legs.map((leg) => leg.number)]) ?? []));
    for (const call of calls.filter((call) => numbers.has(call.number) && !reported.has(call.number))) {
      find('leg missing', `${call.number} was called and is in no report`);
    }
  }
  return { findings, differences };
}

function auditCharges({ id, report, charges }, legs, find) {
  const rows = standing(charges);
  for (const row of rows) {
    if (!legs.some((leg) => leg.leg === row.leg)) find('double charge', `charge ${row.id} is for leg ${row.leg}, which is in no report`, { conference: id, leg: row.leg, money: row.net });
    if (row.status !== 'rated') find('wrong sum', `charge ${row.id} is ${row.status}`, { conference: id, leg: row.leg });
  }
  for (const leg of legs) {
    for (const [component, from, to] of [['call', leg.answered_at, leg.ended_at], ['conference', leg.joined_at, leg.left_at]]) {
      const of = rows.filter((row) => row.leg === leg.leg && row.component === component);
      const length = from && to ? Math.ceil(Math.round((time(to) - time(from)) * 1000) / 1e6) : 0;
      if (of.length > 1) find('double charge', `${of.length} ${component} charges stand for leg ${leg.leg}`, { conference: id, leg: leg.leg, money: of.slice(1).reduce((sum, row) => sum + row.net, 0) });
      if (of.length === 0 && length > 0) find('charge missing', `no ${component} charge for leg ${leg.leg} of ${length} s`, { conference: id, leg: leg.leg, seconds: length, money: -price(component, length) });
      for (const row of of.slice(0, 1)) {
        if (row.seconds !== length) find('wrong sum', `the ${component} charge of leg ${leg.leg} is for ${row.seconds} s, the report says ${length} s`, { conference: id, leg: leg.leg, seconds: row.seconds - length });
        if (row.net !== price(component, row.seconds)) find('wrong sum', `the ${component} charge of leg ${leg.leg} is ${row.net} for ${row.seconds} s`, { conference: id, leg: leg.leg, money: row.net - price(component, row.seconds) });
      }
    }
    if (leg.joined_at && leg.answered_at && (time(leg.joined_at) < time(leg.answered_at) || time(leg.left_at) > time(leg.ended_at))) {
      find('charge past the end', `leg ${leg.leg} was in the conference outside of its call`, { conference: id, leg: leg.leg });
    }
  }
  const owed = rows.filter((row) => row.status === 'rated' && row.payer === 'convener').reduce((sum, row) => sum + row.net, 0);
  if (report.totals && report.totals.net !== owed) find('wrong sum', `the report's total is ${report.totals.net}, the charges make ${owed}`, { conference: id, money: report.totals.net - owed });
}

function auditCalls({ id, numbers, charges }, legs, calls, faults, find, differences) {
  const mine = calls.filter((call) => numbers.includes(call.number));
  const rows = standing(charges);
  for (const number of new Set(mine.map((call) => call.number).concat(legs.map((leg) => leg.number)))) {
    const ofLegs = legs.filter((leg) => leg.number === number);
    const ofCalls = mine.filter((call) => call.number === number);
    const matched = pair(ofLegs.filter((leg) => leg.answered_at), ofCalls.filter((call) => call.answered !== null));
    if (ofCalls.length > 0 && ofLegs.length === 0) find('leg missing', `${number} was called and is in no report`, { conference: id });
    for (const leg of matched.legs) find('charge past the end', `leg ${leg.leg} is said to have been answered, and the phone ${number} was not`, { conference: id, leg: leg.leg });
    for (const call of matched.calls) {
      const death = deathOf(call, faults);
      const end = death ? death.hurt : (call.ended ?? Infinity);
      const length = seconds(end - call.answered);
      const excused = death ? bound('proof_of_life', faults) : CROSSED;
      if (length > excused) find('leg missing', `${number} was answered for ${length.toFixed(1)} s, and no leg says so`, { conference: id, seconds: -length, money: -price('call', Math.ceil(Math.min(length, 1e6))) });
    }
    if (ofCalls.length > ofLegs.length) differences.push({ conference: id, number, note: 'rang twice', seconds: 0, money: 0 });
    for (const { leg, call } of matched.pairs) compare(id, leg, call, rows, faults, find, differences);
  }
}

function compare(id, leg, call, rows, faults, find, differences) {
  const death = deathOf(call, faults);
  if (call.ended === null && !death) {
    find('left alone', `${call.number} is still in a call of a conference that is over`, { conference: id, leg: leg.leg });
    return;
  }
  const end = death ? death.hurt : call.ended;
  const late = seconds(time(leg.ended_at) - end);
  const begun = seconds(time(leg.answered_at) - call.answered);
  const charged = rows.filter((row) => row.leg === leg.leg && row.component === 'call').reduce((sum, row) => sum + row.net, 0);
  const due = price('call', Math.ceil(seconds(end - call.answered)));
  differences.push({ conference: id, leg: leg.leg, number: call.number, evidence: leg.evidence, start: begun, seconds: late, money: charged - due });
  const more = { conference: id, leg: leg.leg, seconds: late, money: charged - due };
  if (late > SLACK) find('charge past the end', `leg ${leg.leg} (${leg.evidence}) ends ${late.toFixed(2)} s after its call`, more);
  const allowed = bound(leg.evidence, faults) + SLACK;
  if (-late > allowed) find('end too early', `leg ${leg.leg} (${leg.evidence}) ends ${(-late).toFixed(2)} s before its call; ${allowed.toFixed(1)} s are allowed`, more);
  if (begun < -SLACK) find('charge past the end', `leg ${leg.leg} begins ${(-begun).toFixed(2)} s before its call was answered`, more);
  if (begun > bound('snapshot', faults) + SLACK) find('end too early', `leg ${leg.leg} begins ${begun.toFixed(2)} s after its call was answered`, more);
  for (const row of rows.filter((row) => row.leg === leg.leg)) {
    // Whole seconds, rounded up, may reach beyond the end by less than one.
    const past = seconds(time(row.started_at) + row.seconds * 1000 - end);
    if (past > 1 + SLACK) find('charge past the end', `the ${row.component} charge of leg ${leg.leg} reaches ${past.toFixed(2)} s past its call`, { ...more, seconds: past });
  }
}

/** Asterisk writes whole seconds, cut off; of some legs it knows only that they were there so long. */
function auditRecords(id, legs, records, find) {
  for (const leg of legs) {
    const record = records.get(leg.leg);
    if (!record || !leg.ended_at || record.ended === null) continue;
    const late = seconds(time(leg.ended_at) - record.ended);
    if (leg.answered_at && record.exact && late > record.grain + SLACK) find('charge past the end', `leg ${leg.leg} (${leg.evidence}) ends ${late.toFixed(2)} s after the switch's own record`, { conference: id, leg: leg.leg, seconds: late });
    if (leg.answered_at && ['event', 'switch_record'].includes(leg.evidence) && late < -SLACK) find('end too early', `leg ${leg.leg} (${leg.evidence}) ends ${(-late).toFixed(2)} s before the switch's own record`, { conference: id, leg: leg.leg, seconds: late });
  }
}

/** Legs in the switch's records that are in no report. `since`: earlier ones are another campaign's. */
export function auditStrays(records, reported, since) {
  return [...records.values()].filter((record) => record.answered !== null && record.answered >= since && !reported.has(record.leg))
    .map((record) => ({ check: 'leg missing', words: `the switch has a record of leg ${record.leg}, which is in no report` }));
}

/** Each conference has one report in one mail. The same mail, byte for byte with its Message-ID, may come again when an answer was lost. */
export function auditMails(expected, mails) {
  const findings = [];
  let repeated = 0;
  for (const { id, email, title } of expected) {
    const mine = mails.filter((mail) => mail.to.toLowerCase().includes(email.toLowerCase()) && mail.subject.includes(title));
    const different = new Set(mine.map((mail) => mail.id)).size;
    if (different === 0) findings.push({ check: 'report missing', words: `no report of conference ${id} (${title}) has arrived`, conference: id });
    if (different > 1) findings.push({ check: 'report double', words: `${different} reports of conference ${id} (${title}) have arrived`, conference: id });
    repeated += mine.length - different;
  }
  return { findings, repeated };
}

/** Each person of a message has got it, by one reference; the same one may come again when an answer was lost. */
export function auditMessages(expected, taken) {
  const findings = [];
  let repeated = 0;
  for (const { id, numbers } of expected) {
    for (const number of numbers) {
      const mine = taken.filter((one) => one.to === number && one.text.includes(id));
      const different = new Set(mine.map((one) => one.reference)).size;
      if (different === 0) findings.push({ check: 'message missing', words: `${number} has got no message of conference ${id}`, conference: id });
      if (different > 1) findings.push({ check: 'message double', words: `${number} has got ${different} messages of conference ${id}`, conference: id });
      repeated += mine.length - different;
    }
  }
  return { findings, repeated };
}
