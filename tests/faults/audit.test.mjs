// The auditor itself: right accounts pass, and each kind of doctored account is found out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { audit, auditMails, auditMessages, auditStrays, bound } from './audit.mjs';
import { callsOf } from './phones.mjs';
import { kindsOf, planOf } from './plan.mjs';
import { recordsOf } from './switch.mjs';

const T = Date.parse('2026-11-22T10:00:00Z');
const at = (seconds) => new Date(T + seconds * 1000).toISOString();
const LEG = '11111111-2222-3333-4444-555555555555';
const NUMBER = '+386599000001111';

/** One conference of one call: answered at 2 s, in from 5 to 28 s, over at 30.4 s. */
function accounts(change = () => {}) {
  const leg = { leg: LEG, number: NUMBER, answered_at: at(2), joined_at: at(5), left_at: at(28), ended_at: at(30.4), evidence: 'event', outcome: 'answered' };
  const row = (id, component, from, length, net) => ({ id, leg: LEG, component, part: 0, status: 'rated', payer: 'convener', started_at: at(from), seconds: length, net });
  const whole = {
    conferences: [{
      id: 'c1',
      numbers: [NUMBER],
      report: { state: 'ended', participants: [{ number: NUMBER, legs: [leg] }], totals: { net: 790 + 115 } },
      charges: [row('r1', 'call', 2, 29, 790), row('r2', 'conference', 5, 23, 115)],
    }],
    calls: [{ id: 'call1', number: NUMBER, invited: T, answered: T + 2_000, ended: T + 30_400, by: 'switch', refused: null, cancelled: null }],
    records: new Map([[LEG, { leg: LEG, answered: T + 2_000, ended: T + 30_000, exact: true, grain: 1 }]]),
    faults: [],
  };
  change(whole, whole.conferences[0], leg);
  return whole;
}

const checks = (accounts_) => [...new Set(audit(accounts_).findings.map((finding) => finding.check))].sort();

test('accounts that agree are found right, and a difference of nothing is listed', () => {
  const { findings, differences } = audit(accounts());
  assert.deepEqual(findings, []);
  assert.deepEqual(differences.map(({ seconds, money }) => [seconds, money]), [[0, 0]]);
});

const doctored = {
  'a conference that still runs': [['conference stuck'], (_, conference) => { conference.report.state = 'running'; }],
  'a conference without a report': [['conference stuck', 'leg missing'], (_, conference) => { conference.report = null; }],
  'a leg without an end': [['conference stuck'], (all, conference, leg) => { leg.ended_at = null; leg.left_at = null; conference.charges = []; conference.report.totals.net = 0; all.calls = null; }],
  'a call that no leg tells of': [['leg missing'], (all) => all.calls.push({ ...all.calls[0], id: 'call2', answered: T + 40_000, ended: T + 60_000 })],
  'a number that is in no report': [['leg missing'], (all, conference) => { conference.numbers.push('+386599000002111'); all.calls.push({ ...all.calls[0], id: 'call2', number: '+386599000002111' }); }],
  'a charge twice': [['double charge', 'wrong sum'], (_, conference) => conference.charges.push({ ...conference.charges[0], id: 'r3' })],
  'a charge of a leg that is not there': [['double charge', 'wrong sum'], (_, conference) => conference.charges.push({ ...conference.charges[0], id: 'r3', leg: 'another' })],
  'a charge that is missing': [['charge missing', 'wrong sum'], (_, conference) => conference.charges.pop()],
  'a charge of the wrong sum': [['wrong sum'], (_, conference) => { conference.charges[0].net = 791; }],
  'a charge without a price': [['wrong sum'], (_, conference) => { conference.charges[0].status = 'unrated'; }],
  'a total that is not the sum': [['wrong sum'], (_, conference) => { conference.report.totals.net += 1; }],
  'an end after the end': [['charge past the end'], (all, conference, leg) => { all.records = null; leg.ended_at = at(33); conference.charges[0] = { ...conference.charges[0], seconds: 31, net: 810 }; conference.report.totals.net = 925; }],
  'an end after the switch\'s own record': [['charge past the end'], (all) => { all.calls = null; all.records.get(LEG).ended = T + 27_000; }],
  'an answer that the phone never gave': [['charge past the end'], (all) => { all.calls[0].answered = null; all.records = null; }],
  'a beginning before the answer': [['charge past the end'], (all) => { all.calls[0].answered = T + 4_000; }],
  'time in the conference beyond the call': [['charge past the end', 'wrong sum'], (_, __, leg) => { leg.left_at = at(31); }],
  'an end that is too early': [['end too early'], (all, conference, leg) => { leg.ended_at = at(28); conference.charges[0] = { ...conference.charges[0], seconds: 26, net: 760 }; conference.report.totals.net = 875; }],
  'a phone that is left alone': [['left alone'], (all) => { all.calls[0].ended = null; }],
};
for (const [name, [found, change]] of Object.entries(doctored)) {
  test(`found out: ${name}`, () => assert.deepEqual(checks(accounts(change)), found));
}

test('a microsecond begins a second', () => {
  const late = accounts((_, conference, leg) => {
    leg.ended_at = '2026-11-22T10:00:31.000001Z';
    conference.charges[0] = { ...conference.charges[0], seconds: 30, net: 800 };
    conference.report.totals.net = 915;
  });
  assert.deepEqual(checks(late), []);
});

test('a difference is told in seconds and in money', () => {
  const [{ seconds, money }] = audit(accounts(doctored['an end that is too early'][1])).differences;
  assert.deepEqual([seconds, money], [-2.4, -30]);
});

test('an end by evidence may be early by its bound and no more, and never late', () => {
  const early = (evidence, by, faults) => checks(accounts((all, conference, leg) => {
    all.faults = faults;
    all.records = null;
    leg.evidence = evidence;
    leg.ended_at = at(30.4 - by);
    leg.left_at = at(Math.min(28, 30.4 - by));
    conference.charges = [];
    conference.report.totals.net = 0;
  })).filter((check) => check !== 'charge missing');
  const death = [{ what: 'switch-killed', from: T + 30_300, hurt: T + 30_400, to: T + 33_000 }];
  assert.deepEqual(early('proof_of_life', 7.5, death), []);
  assert.deepEqual(early('proof_of_life', 8.5, death), ['end too early']);
  assert.deepEqual(early('proof_of_life', -1.5, death), ['charge past the end']);
  const cut = [{ what: 'link-cut', from: T + 25_000, hurt: T + 25_000, to: T + 31_000 }];
  assert.deepEqual(early('snapshot', 11, cut), []);
  assert.deepEqual(early('snapshot', 24, cut), ['end too early']);
  assert.equal(bound('event', cut), 1);
});

test('a switch that died ends its calls, whatever the phone believes', () => {
  const died = accounts((all, conference, leg) => {
    all.faults = [{ what: 'switch-killed', from: T + 30_000, hurt: T + 30_400, to: T + 33_000 }];
    all.calls[0].ended = null;
    leg.evidence = 'proof_of_life';
  });
  assert.deepEqual(checks(died), []);
});

test('an answer that only a dead switch was given is no answer', () => {
  const late = accounts((all, conference, leg) => {
    all.faults = [{ what: 'switch-killed', from: T + 1_000, hurt: T + 1_200, to: T + 3_000 }];
    all.calls[0].ended = null;
    all.records = null;
    Object.assign(leg, { answered_at: null, joined_at: null, left_at: null, ended_at: at(1), evidence: 'proof_of_life' });
    conference.charges = [];
    conference.report.totals.net = 0;
  });
  assert.deepEqual(checks(late), []);
  late.calls[0].invited = T + 4_000;
  late.calls[0].answered = T + 5_000;
  assert.deepEqual(checks(late), ['leg missing']);
});

test('a reversed charge counts for nothing', () => {
  const corrected = accounts((_, conference) => {
    const [wrong] = conference.charges;
    conference.charges.push({ ...wrong, id: 'r3', reverses: wrong.id, net: -wrong.net }, { ...wrong, id: 'r4', revision: 1 });
  });
  assert.deepEqual(checks(corrected), []);
});

test('legs of the switch that are in no report are found', () => {
  const records = new Map([['a', { leg: 'a', answered: T, ended: T + 1 }], ['b', { leg: 'b', answered: T, ended: T + 1 }], ['old', { leg: 'old', answered: T - 10, ended: T }]]);
  assert.deepEqual(auditStrays(records, new Set(['a']), T).map((finding) => finding.words.includes(' b,')), [true]);
});

test('reports are counted by their Message-ID', () => {
  const expected = [{ id: 'c1', email: 'a@example.test', title: 'Run 1-1' }];
  const mail = (id) => ({ to: 'A@example.test', id, subject: 'Poročilo: Run 1-1, 22. 11.' });
  assert.deepEqual(auditMails(expected, [mail('<1>')]), { findings: [], repeated: 0 });
  assert.deepEqual(auditMails(expected, [mail('<1>'), mail('<1>')]), { findings: [], repeated: 1 });
  assert.equal(auditMails(expected, [mail('<1>'), mail('<2>')]).findings[0].check, 'report double');
  assert.equal(auditMails(expected, [{ ...mail('<1>'), to: 'b@example.test' }]).findings[0].check, 'report missing');
});

test('messages are counted by their reference', () => {
  const expected = [{ id: 'c1', numbers: [NUMBER] }];
  const sms = (reference) => ({ to: NUMBER, reference, text: 'Sporočilo c1' });
  assert.deepEqual(auditMessages(expected, [sms('x'), sms('x')]), { findings: [], repeated: 1 });
  assert.equal(auditMessages(expected, []).findings[0].check, 'message missing');
  assert.equal(auditMessages(expected, [sms('x'), sms('y')]).findings[0].check, 'message double');
});

test('the phones\' log is read: answer, goodbye of either side, refusal', () => {
  const line = (second, direction, call, cseq, first) => ['2026-11-22', '10:00:00', String(T / 1000 + second), direction, call, cseq, first].join('\t');
  const log = [
    line(0, 'R', 'one', 'CSeq: 7 INVITE', `INVITE sip:${NUMBER}@127.0.0.1:5 SIP/2.0`),
    line(0, 'S', 'one', 'CSeq: 7 INVITE', 'SIP/2.0 180 Ringing'),
    line(1, 'S', 'one', 'CSeq: 7 INVITE', 'SIP/2.0 200 OK'),
    line(1.5, 'S', 'one', 'CSeq: 7 INVITE', 'SIP/2.0 200 OK'),
    line(9, 'R', 'one', 'CSeq: 8 BYE', 'BYE sip:x@127.0.0.1:5 SIP/2.0'),
    line(9, 'S', 'one', 'CSeq: 8 BYE', 'SIP/2.0 200 OK'),
    line(2, 'R', 'two', 'CSeq: 1 INVITE', 'INVITE sip:+386599000002486@127.0.0.1:5 SIP/2.0'),
    line(2, 'S', 'two', 'CSeq: 1 INVITE', 'SIP/2.0 486 Busy Here'),
    'cut off in the mid',
  ].join('\n');
  const [one, two] = callsOf(log);
  assert.deepEqual([one.number, one.answered, one.ended, one.by], [NUMBER, T + 1_000, T + 9_000, 'switch']);
  assert.deepEqual([two.answered, two.refused], [null, T + 2_000]);
});

test('the switch\'s records of one channel are one leg', () => {
  const row = (answer, end, id, channel = 'PJSIP/trunk-1', other = '', app = 'ConfBridge') => `"","","s","sklic-room","""x"" <1>","${channel}","${other}","${app}","x","2026-11-22 09:59:58","${answer}","${end}",3,3,"ANSWERED","DOCUMENTATION","${id}","","","${id}",1`;
  const id = `sklic-${LEG.replaceAll('-', '')}`;
  const lines = [
    row('2026-11-22 10:00:02', '2026-11-22 10:00:05', id),
    row('2026-11-22 10:00:20', '2026-11-22 10:00:25', id),
    // In the conference it is the second party of another's row.
    row('2026-11-22 10:00:05', '2026-11-22 10:00:30', '1795.1', 'PJSIP/trunk-2', 'PJSIP/trunk-1'),
    // Another switch's life: the same name, earlier.
    row('2026-11-22 09:00:05', '2026-11-22 09:00:30', '1790.1', 'PJSIP/trunk-2', 'PJSIP/trunk-1'),
  ];
  assert.deepEqual([...recordsOf('asterisk', lines.join('\n')).values()], [{ leg: LEG, begun: T - 2_000, answered: T + 2_000, ended: T + 30_000, exact: false, grain: 1 }]);
  lines.push(row('2026-11-22 10:00:30', '2026-11-22 10:00:33', id, 'PJSIP/trunk-1', '', 'Hangup'));
  assert.deepEqual([...recordsOf('asterisk', lines.join('\n')).values()].map(({ ended, exact }) => [ended, exact]), [[T + 33_000, true]]);
});

test('FreeSWITCH writes microseconds, and a zero where a call was not answered', () => {
  const other = LEG.replace('1', '2');
  const channel = (leg) => `sklic-${leg.replaceAll('-', '')}`;
  const text = `"6f4c2d1e-not-ours","1","2","3","NORMAL_CLEARING"\n"${channel(LEG)}","${T}000","${T + 2_000}000","${T + 30_400}000","NORMAL_CLEARING"\n"${channel(other)}","${T}000","0","${T + 900}000","USER_BUSY"\n`;
  assert.deepEqual([...recordsOf('freeswitch', text).values()], [
    { leg: LEG, begun: T, answered: T + 2_000, ended: T + 30_400, exact: true, grain: 0 },
    { leg: other, begun: T, answered: null, ended: T + 900, exact: true, grain: 0 },
  ]);
  // What it writes is exact to the microsecond: more than the slack past it is found, on Asterisk a whole one may be.
  const late = (grain) => checks(accounts((whole) => (whole.records = new Map([[LEG, { leg: LEG, answered: T + 2_000, ended: T + 29_200, exact: true, grain }]]))));
  assert.deepEqual([late(0), late(1)], [['charge past the end'], []]);
});

test('the same seed gives the same plan, and all kinds come in turn', () => {
  const wanted = { seed: 'a', run: 7, kind: 'link cut', conferences: 6 };
  assert.deepEqual(planOf(wanted), planOf(wanted));
  assert.notDeepEqual(planOf(wanted), planOf({ ...wanted, seed: 'b' }));
  const numbers = planOf(wanted).conferences.flatMap((conference) => [conference.convener, ...conference.people]);
  assert.equal(new Set(numbers).size, numbers.length);
  const kinds = kindsOf({ seed: 'a', runs: 50, pbx: 'asterisk', only: [] });
  assert.equal(new Set(kinds.slice(0, 25)).size, 25);
  assert.throws(() => kindsOf({ seed: 'a', runs: 1, pbx: 'simulator', only: ['link'] }), /no fault/);
});
