import { describe, expect, it } from 'vitest';
import type { Charge, Conference, Participant } from '../src/api/types';
import english from '../src/i18n/en.json';
import slovene from '../src/i18n/sl.json';
import { spoken } from '../src/i18n/words';
import { costs } from '../src/lib/costs';
import { clock, span } from '../src/lib/duration';
import { csvOf, readCsv } from '../src/lib/files';
import { looksLikeNumber, setHome, shown } from '../src/lib/phone';
import { EventParser } from '../src/lib/sse';
import { applied, isOnlyTalk } from '../src/model/changes';
import { LOOK, actsOf, shownState, type Phase, type Shown } from '../src/model/states';

const person = (change: Partial<Participant> = {}): Participant => ({
  id: 'p', name: 'Ana', phone: '+38613099396', convener: false, state: 'in', muted: false, talking: false, pending: [], attempts: 1, ...change,
});
const conference = (participants: Participant[]): Conference => ({
  id: 'c', title: 'T', convener_participant_id: 'p', created_at: '2026-11-22T10:00:00Z', seq: 4, state: 'running', all_muted: false, locked: false, link: 'up', pending: [], participants,
});

const sl = spoken('sl', slovene);
const en = spoken('en', english);

describe('Slovene counts by the last two digits', () => {
  it.each([
    [1, 'udeleženec'], [2, 'udeleženca'], [3, 'udeleženci'], [4, 'udeleženci'], [5, 'udeležencev'], [11, 'udeležencev'], [100, 'udeležencev'], [101, 'udeleženec'],
    [102, 'udeleženca'], [103, 'udeleženci'], [0, 'udeležencev'],
  ])('%i %s', (count, word) => expect(sl.people(count)).toBe(`${count} ${word}`));
  it('English has two forms', () => expect([0, 1, 2, 101].map((count) => en.attempts(count))).toEqual(['0 attempts', '1 attempt', '2 attempts', '101 attempts']));
  it('what is put in is text', () => expect(en.noHits('{0|a|b} $& <b>')).toBe('Nothing found for “{0|a|b} $& <b>”.'));
  it('whole sentences agree', () => {
    expect(sl.thenTheOthers(1)).toContain('še 1 drugega udeleženca');
    expect(sl.thenTheOthers(5)).toContain('še 5 drugih udeležencev');
    expect(sl.endMore(2)).toMatch(/^V konferenci sta 2 udeleženca\. Slišala bosta/);
    expect(sl.plans.free(2)).toBe('2 prosti mesti');
  });
});

describe('changes', () => {
  const one = person({ id: 'a' });
  const other = person({ id: 'b' });
  it('keep those who did not change, replace, add and take away', () => {
    const muted = person({ id: 'b', muted: true });
    const fresh = person({ id: 'c', state: 'queued' });
    const after = applied(conference([one, other]), { seq: 5, participants: [muted, fresh], removed: [] });
    expect(after.participants).toEqual([one, muted, fresh]);
    expect(after.participants[0]).toBe(one);
    expect(after.seq).toBe(5);
    expect(applied(after, { seq: 6, participants: [], removed: ['a'] }).participants.map(({ id }) => id)).toEqual(['b', 'c']);
  });
  it('what is absent in a new head is gone', () => {
    const before = { ...conference([one]), away_until: '2026-11-22T10:05:00Z' };
    const head = { state: 'running', all_muted: true, locked: false, link: 'up' as const, pending: [] };
    const after = applied(before, { seq: 5, conference: head, participants: [] });
    expect([after.away_until, after.title, after.all_muted]).toEqual([undefined, 'T', true]);
  });
  it('know what is only talk', () => {
    const view = conference([one, other]);
    expect(isOnlyTalk(view, { seq: 5, participants: [{ ...one, talking: true }] })).toBe(true);
    expect(isOnlyTalk(view, { seq: 5, participants: [{ ...one, talking: true, muted: true }] })).toBe(false);
    expect(isOnlyTalk(view, { seq: 5, participants: [person({ id: 'new', talking: true })] })).toBe(false);
  });
});

describe('a rectangle', () => {
  it('shows one state: unknown, hand, muted by oneself, muted, talking, in', () => {
    const shownOf = (change: Partial<Participant>, blind = false): Shown => shownState(person(change), blind);
    expect(shownOf({ muted: true, talking: true })).toBe('muted');
    expect(shownOf({ muted: true, self_muted: true })).toBe('self_muted');
    expect(shownOf({ muted: true, self_muted: true, hand_raised_at: '2026-11-22T10:00:00Z' })).toBe('hand_raised');
    expect(shownOf({ state: 'waiting' }, true)).toBe('unknown');
    expect(shownOf({ talking: true })).toBe('talking');
    expect(shownOf({}, true)).toBe('unknown');
    expect(shownOf({ state: 'ringing' }, true)).toBe('unknown');
    expect(shownOf({ state: 'busy' }, true)).toBe('busy');
    expect(shownOf({ state: 'something new' as 'in' })).toBe('unknown');
  });
  it('never offers to open a microphone that its owner closed', () => {
    for (const hand_raised_at of [undefined, '2026-11-22T10:00:00Z'])
      for (const shown of ['self_muted', 'hand_raised'] as const) expect(actsOf(person({ muted: true, self_muted: true, hand_raised_at }), shown, 'running')).not.toContain('unmute');
  });
  it('offers nothing while the state is unknown, and never removes the convener', () => {
    const phases: Phase[] = ['planned', 'calling_convener', 'running', 'closing', 'ended', 'failed'];
    for (const phase of phases) {
      if (phase !== 'planned') expect(actsOf(person({ state: 'unknown' }), 'unknown', phase)).toEqual([]);
      for (const state of Object.keys(LOOK) as Shown[]) expect(actsOf(person({ convener: true }), state, phase)).not.toContain('remove');
    }
    expect(actsOf(person({ muted: true }), 'muted', 'running')).toEqual(['unmute', 'message', 'remove']);
    const raised = { hand_raised_at: '2026-11-22T10:00:00Z' };
    expect(actsOf(person({ muted: true, ...raised }), 'hand_raised', 'running')).toEqual(['unmute', 'lower', 'message', 'remove']);
    expect(actsOf(person(raised), 'hand_raised', 'running')).toEqual(['lower', 'mute', 'message', 'remove']);
    expect(actsOf(person({ state: 'waiting' }), 'waiting', 'running')).toEqual(['admit', 'away']);
    expect(actsOf(person({ state: 'waiting' }), 'waiting', 'calling_convener')).toEqual(['away']);
    expect(actsOf(person({ state: 'invalid_number' }), 'invalid_number', 'running')[0]).toBe('fix');
  });
});

describe('the stream', () => {
  const text = ': keep-alive\n\nevent: snapshot\nid: 1\ndata: {"a":\ndata: 1}\n\nevent: delta\r\ndata: {}\r\n\r\n';
  it('is read whatever pieces it comes in', () => {
    for (let size = 1; size <= text.length; size += 1) {
      const parser = new EventParser();
      const events = [];
      for (let at = 0; at < text.length; at += size) events.push(...parser.push(text.slice(at, at + size)));
      expect(events, `pieces of ${size}`).toEqual([{ name: 'snapshot', data: '{"a":\n1}' }, { name: 'delta', data: '{}' }]);
    }
  });
});

describe('files', () => {
  it('columns are known by their titles, in either language, or by their order', () => {
    const expected = { line: 2, name: 'Žiga Čopič', phone: '040 123 456', email: 'z@example.test', note: '' };
    expect(readCsv('\uFEFFE-pošta;Ime;Telefon\nz@example.test;Žiga Čopič;040 123 456\n')).toEqual([expected]);
    expect(readCsv('First name,Last name,Phone,E-mail\nŽiga,Čopič,040 123 456,z@example.test')).toEqual([expected]);
    expect(readCsv('Žiga Čopič;040 123 456;z@example.test')).toEqual([{ ...expected, line: 1 }]);
  });
  it('quotes, line breaks inside them, and the line on which a row begins', () => {
    const read = readCsv('name;phone;note\r\n"A ""B""; C";1;"two\r\nlines"\r\n\r\nD;2;\r\n');
    expect(read.map(({ line, name, note }) => [line, name, note])).toEqual([[2, 'A "B"; C', 'two\nlines'], [5, 'D', '']]);
  });
  it('what is written is read again', () => {
    const one = { name: 'A; "B"', phone: '+38640123456', email: 'a@example.test', note: 'x\ny' };
    expect(readCsv(csvOf([one]))).toEqual([{ line: 2, ...one }]);
  });
});

describe('costs', () => {
  it('are what the convener pays, corrections included, by conference', () => {
    const row = (conference: string, gross: string, more: object = {}): Charge => ({ payer: 'convener', status: 'rated', conference, gross, currency: 'EUR', ...more }) as Charge;
    const rows = [row('a', '0.1'), row('a', '0.2'), row('a', '-0.1'), row('b', '1.2345'), row('b', '9', { payer: 'caller' }), row('b', '9', { status: 'unrated' })];
    const { byConference, total, currency } = costs(rows);
    expect([byConference.get('a'), byConference.get('b'), total, currency]).toEqual([0.2, 1.2345, 1.4345, 'EUR']);
  });
});

describe('numbers and times', () => {
  it('are shown as people at home dial them', () => {
    setHome('+38640111222');
    expect([shown('+38613099396'), shown('+38631555014'), shown('19819'), shown('+4315550514')]).toEqual(['01 309 93 96', '031 555 014', '19819', '+43 155 505 14']);
    setHome('+38516000000');
    expect(shown('+38613099396')).toBe('+386 1 309 93 96');
  });
  it('what may be a number', () => {
    for (const good of ['031 555 014', '+386 (1) 309-93-96', '112', '19819']) expect(looksLikeNumber(good), good).toBe(true);
    for (const bad of ['', '12', 'Ana 031', '+', '...', '031 555 014x']) expect(looksLikeNumber(bad), bad).toBe(false);
  });
  it('clocks and spans', () => {
    expect([clock(7), clock(761.9), clock(3723), clock(-3)]).toEqual(['0:07', '12:41', '1:02:03', '0:00']);
    expect([span(5), span(2859), span(3723)]).toEqual(['5 s', '47 min 39 s', '1 h 2 min 3 s']);
  });
});
