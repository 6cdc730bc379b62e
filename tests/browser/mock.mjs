// A service that is not there: the built console, and an API that plays made-up people.
// It serves pictures and checks of pages; how the service really behaves is tested with the service.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname } from 'node:path';

const dist = new URL('../../web/dist/', import.meta.url);
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.svg': 'image/svg+xml' };
/** The policy of the service (src/http/console.rs). */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const FIRST = 'Ana Marko Špela Boštjan Nežka Jože Maja Luka Tjaša Gregor Katarina Andrej Petra Rok Živa Matjaž Urška Damjan Alenka Nejc Mojca Žiga Barbara Tomaž Irena Primož Saša Vesna Simon Darja'.split(' ');
const LAST = 'Kovač Novak Žagar Čeh Golob Krajnc Zupan Horvat Vidmar Turk Rozman Hribar Kos Bizjak Oblak Kralj Pirc Šuštar Božič Lah Jereb Petek Mlakar Erjavec Medved Kastelic Potočnik Logar Ribič Čuk'.split(' ');
const uuid = (kind, at) => `0${kind}9aa7c4-6c0e-7b3c-8b8e-${String(at).padStart(12, '0')}`;
const number = (at) => (at % 3 === 1 ? `+38615550${String(100 + at).slice(-3)}` : `+386${[31, 40, 51, 70][at % 4]}555${String(101 + at * 7).slice(-3)}`);
const person = (at) => ({ name: at < 30 ? `${FIRST[at]} ${LAST[at]}` : `${FIRST[(at * 7) % 30]} ${LAST[(at * 11 + 3) % 30]}`, phone: at === 0 ? '+38615550120' : number(at) });

export const HOSTILE = '<img src=x onerror=alert(1)>';
export const FOREIGN = 'Ђорђе Петровић 📞';

const contacts = Array.from({ length: 38 }, (_, at) => ({ id: uuid(1, at + 1), code: String(20_419_387 + at * 7919), ...person(at + 1), email: at % 4 ? undefined : `oseba${at}@primer.si` }));
contacts.push({ id: uuid(1, 90), name: HOSTILE, phone: '+38640555901' }, { id: uuid(1, 91), name: FOREIGN, phone: '+38640555902' });
const groups = [
  { id: uuid(2, 1), name: 'Prodaja', contact_ids: contacts.slice(0, 7).map((one) => one.id) },
  { id: uuid(2, 2), name: 'Uprava', contact_ids: contacts.slice(7, 10).map((one) => one.id) },
  { id: uuid(2, 3), name: 'Gostje oddaje', contact_ids: contacts.slice(10, 14).map((one) => one.id) },
];
const me = {
  account_id: uuid(9, 1), user_number: '100200', name: 'Ana Kovač', phone: '+38615550120', email: 'ana.kovac@primer.si', language: 'sl', time_zone: 'Europe/Ljubljana',
  grace_seconds: 120, entry_beep: true, staff: true, has_pin: true, callable: 'all',
};
const ago = (seconds) => new Date(Date.now() - seconds * 1000).toISOString();

const ALL = 'not_called queued calling ringing waiting greeting in talking muted self_muted hand_raised leaving left not_in busy no_answer rejected unreachable invalid_number congested not_accepted cancelled failed unknown'.split(' ');
const THIRTY = 'in talking muted in in busy in hand_raised in in muted no_answer in calling in muted in greeting in left in self_muted rejected ringing talking in invalid_number muted waiting hand_raised'.split(' ');
const SIX = ['in', 'talking', 'muted', 'ringing', 'in', 'busy'];

function member(at, state, convener = false) {
  const inside = ['in', 'talking', 'muted', 'self_muted', 'hand_raised'].includes(state);
  const over = !inside && !['not_called', 'queued', 'calling', 'ringing', 'waiting', 'greeting', 'unknown'].includes(state);
  return {
    id: uuid(4, at), ...(at === 3 ? { name: FOREIGN, phone: '+38640555902' } : at === 4 ? { name: HOSTILE, phone: '+38640555901' } : person(at)), convener,
    state: inside ? 'in' : state, muted: ['muted', 'self_muted', 'hand_raised'].includes(state), self_muted: state === 'self_muted', hand_raised_at: state === 'hand_raised' ? ago(40 - at) : undefined,
    needs_consent: state === 'waiting', talking: state === 'talking', since: over ? undefined : ago(7 + at), way_of_entry: state === 'not_called' ? undefined : state === 'waiting' ? 'onnet_short' : at % 9 === 4 ? 'national' : 'web_out',
    joined_at: inside || state === 'left' ? ago(745 - ((at * 37) % 500)) : undefined, ended_at: over ? ago(60 + at) : undefined,
    pending: [], attempts: state === 'not_called' ? 0 : over && at % 2 ? 2 : 1,
  };
}

function view(id, title, state, states, more = {}) {
  const participants = states.map((one, at) => member(at, one, at === 0));
  return {
    id, title, convener_participant_id: participants[0].id, created_at: ago(900), started_at: state === 'planned' ? undefined : ago(775),
    running_since: ['planned', 'calling_convener', 'failed'].includes(state) ? undefined : ago(761), ended_at: ['ended', 'failed'].includes(state) ? ago(5) : undefined,
    state, all_muted: false, locked: false, link: 'up', pending: [], seq: 1, participants, ...more,
  };
}

const TITLE = 'Tedenska koordinacija prodaje';
const two = (n) => Array.from({ length: n }, (_, at) =>
  at === 0 ? 'in' : at % 67 === 1 ? 'talking' : at % 17 === 5 ? ['busy', 'no_answer', 'no_answer', 'rejected'][at % 4] : at % 23 === 9 ? 'ringing' : at % 29 === 3 ? 'left' : at % 97 === 20 ? 'invalid_number' : at % 5 < 3 ? 'muted' : 'in');
const conferences = {
  planned: view(uuid(3, 1), 'Skupščina društva', 'planned', Array(6).fill('not_called'), { scheduled_at: new Date(Date.now() + 86_400_000).toISOString() }),
  starting: view(uuid(3, 2), TITLE, 'calling_convener', ['ringing', ...Array(5).fill('not_called')]),
  six: view(uuid(3, 3), TITLE, 'running', SIX, { cost: { net: '10.33', gross: '12.60', currency: 'EUR', without_price: 0 } }),
  thirty: view(uuid(3, 4), TITLE, 'running', THIRTY),
  many: view(uuid(3, 5), 'Novinarska konferenca', 'running', two(200)),
  states: view(uuid(3, 6), TITLE, 'running', ['in', ...ALL.slice(0, 12)], { locked: true }),
  states2: view(uuid(3, 11), TITLE, 'running', ['muted', ...ALL.slice(12)], { all_muted: true }),
  silent: view(uuid(3, 7), TITLE, 'running', ['unknown', 'unknown', 'unknown', 'unknown', 'left', 'busy'], { link: 'unknown' }),
  ended: view(uuid(3, 8), TITLE, 'ended', ['left', 'left', 'left', 'left', 'left', 'busy'], { reason: 'convener_left' }),
  failed: view(uuid(3, 9), TITLE, 'failed', ['no_answer', ...Array(5).fill('not_called')], { reason: 'convener_no_answer' }),
  spend: view(uuid(3, 12), TITLE, 'running', SIX, { spend: 'warned', cost: { net: '10.33', gross: '12.60', spent_today: '41.30', daily_cap: '50.00', currency: 'EUR', without_price: 0 } }),
  away: view(uuid(3, 10), TITLE, 'running', ['left', 'in', 'in', 'in', 'in', 'busy'], { away_until: new Date(Date.now() + 95_000).toISOString() }),
};
conferences.thirty.participants[7].pending = [{ control: 'mute', state: 'requested' }];
conferences.thirty.participants[15].pending = [{ control: 'unmute', state: 'failed', reason: 'not_confirmed' }];
conferences.six.participants[4].pending = [{ control: 'mute', state: 'requested' }];
conferences.six.participants[2].pending = [{ control: 'unmute', state: 'failed', reason: 'not_confirmed' }];
conferences.states2.pending = [{ control: 'lock', state: 'failed', reason: 'no_link' }];
export const IDS = { ...Object.fromEntries(Object.entries(conferences).map(([key, one]) => [key, one.id])), plan: uuid(9, 7) };

function report(conference) {
  const base = Date.now() - 3_600_000;
  const at = (seconds) => new Date(base + seconds * 1000).toISOString();
  const END = 2859;
  const leg = (n, attempt, phone, [dialled, joined, left], outcome, call, conf, evidence = 'event', way = 'web_out') => ({
    leg: uuid(5, n), attempt, way_of_entry: way, number: phone, dialled_at: dialled === null ? undefined : at(dialled), answered_at: joined === null ? undefined : at(joined - 4), joined_at: joined === null ? undefined : at(joined), left_at: joined === null ? undefined : at(left),
    ended_at: at(left), seconds: joined === null ? 0 : left - joined, outcome, evidence,
    call: call === null ? { payer: 'caller', status: 'informational', billed_seconds: 60, net: '0.00', vat: '0.00', gross: '0.00' } : { payer: 'convener', status: 'rated', billed_seconds: 60, net: call, vat: '0.10', gross: call },
    conference: joined === null ? undefined : { payer: 'convener', status: 'rated', billed_seconds: 60, net: conf, vat: '0.10', gross: conf },
  });
  const people = [
    [[[0, 12, END], 'answered', '1.43', '1.91']], [[[13, 27, END - 6], 'answered', '1.42', '1.89']], [[[13, 41, END], 'answered', '3.76', '1.88']],
    [[[13, null, 40], 'no_answer', '0.00', '0'], [[760, 784, END], 'answered', '2.77', '1.38']],
    [[[null, 12, 1330], 'answered', null, '0.88', 'event', 'international'], [[null, 1480, END], 'answered', null, '0.92', 'event', 'international']],
    [[[280, 300, 1990], 'answered', '0.80', '1.12', 'switch_record']], [[[13, null, 30], 'busy', '0.00', '0'], [[180, null, 200], 'busy', '0.00', '0']],
  ];
  let n = 0;
  return {
    conference: conference.id, title: conference.title, state: 'ended', reason: 'convener_left', convener: 'Ana Kovač', language: 'sl', time_zone: 'Europe/Ljubljana', started_at: at(0), running_since: at(12), ended_at: at(END), seconds: END - 12, were_in: 6,
    participants: people.map((legs, i) => ({ name: i === 3 ? FOREIGN : i === 4 ? HOSTILE : person(i).name, number: person(i).phone, convener: i === 0, was_in: i < 6, legs: legs.map((one, j) => leg((n += 1), j + 1, person(i).phone, ...one)) })),
    totals: { call_net: '10.18', conference_net: '9.98', net: '20.16', vat_lines: [{ percent: '22', net: '20.16', vat: '4.44' }], vat: '4.44', gross: '24.60', not_priced: 0 },
    currency: 'EUR',
  };
}

const summary = ({ participants, ...one }) => ({ ...one, participants: participants.length });
const sessions = [
  { id: 'a', created_at: ago(9000), last_seen_at: ago(10), expires_at: ago(-90000), user_agent: 'Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0 Safari/537.36', current: true },
  { id: 'b', created_at: ago(90000), last_seen_at: ago(7000), expires_at: ago(-90000), user_agent: 'Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Safari/604.1', current: false },
];

const open = (at, title, convener, state, node, participants, inside, seconds) => ({
  id: uuid(5, at), user_number: String(100_200 + at), convener, title, state, node, started_at: ago(seconds + 14), running_since: state === 'calling_convener' ? undefined : ago(seconds), participants, inside,
});
const operatorAnswers = {
  '/operator/health': {
    version: '0.1.0', database: true, switches: [{ name: 'ljubljana', up: true, last_heard: ago(1) }, { name: 'maribor', up: false, last_heard: ago(340) }],
    heard: [{ name: 'ljubljana', last_heard_at: ago(1) }, { name: 'maribor', last_heard_at: ago(340) }, { name: 'koper', booted_at: ago(90000), last_heard_at: ago(2) }],
    conferences: 3, queued: 4, failed: 1, unrated: 2,
  },
  '/operator/conferences': [
    open(1, 'Jutranji sestanek', 'Ana Kovač', 'running', 'ljubljana', 30, 24, 4210), open(2, HOSTILE, FOREIGN, 'running', 'koper', 6, 5, 761), open(3, 'Kriza', 'Luka Horvat', 'calling_convener', 'ljubljana', 12, 0, 0),
  ],
  '/operator/deliveries': [
    { id: uuid(6, 1), kind: 'mail', user_number: '100201', state: 'failed', attempts: 12, last_error: '550 5.1.1 <img src=x onerror=alert(1)>: no such user here', created_at: ago(90000) },
    { id: uuid(6, 2), kind: 'mail', user_number: '100203', state: 'queued', attempts: 2, last_error: '451 4.7.1 Greylisted, try again in 5 minutes', created_at: ago(400), next_attempt_at: ago(-200) },
  ],
  '/operator/accounts': [
    { user_number: '100200', name: 'Ana Kovač', phone: '+38615550120', email: 'ana.kovac@primer.si', created_at: ago(9e6), staff: false },
    { user_number: '100201', name: HOSTILE, phone: '+38640555901', email: 'x@primer.si', created_at: ago(8e6), disabled_at: ago(9e5), staff: false },
    { user_number: '900100', name: 'Osebje Operaterja', phone: '+38615550100', email: 'osebje@primer.si', created_at: ago(9e7), staff: true },
  ],
  '/operator/accounts/100200': {
    account: { user_number: '100200', name: 'Ana Kovač', phone: '+38615550120', email: 'ana.kovac@primer.si', created_at: ago(9e6), staff: false },
    conferences: [
      { id: uuid(5, 1), title: 'Jutranji sestanek', state: 'running', node: 'ljubljana', created_at: ago(5000), started_at: ago(4224), running_since: ago(4210), participants: 30, owed: [] },
      { id: uuid(5, 4), title: HOSTILE, state: 'ended', reason: 'convener_left', node: 'ljubljana', created_at: ago(90000), started_at: ago(89000), running_since: ago(88990), ended_at: ago(86130), participants: 7, owed: [{ gross: '24.60', currency: 'EUR' }] },
      { id: uuid(5, 5), title: 'Pogovor s Celjem', state: 'failed', reason: 'convener_no_answer', node: 'maribor', created_at: ago(190000), started_at: ago(189000), ended_at: ago(188950), participants: 2, owed: [] },
    ],
    next: uuid(5, 5),
  },
  '/operator/tariffs': [
    { id: uuid(7, 1), name: 'base', version: 1, currency: 'EUR', valid_from: ago(3e7), imported_at: ago(3e7), in_force: false },
    { id: uuid(7, 2), name: 'base', version: 2, currency: 'EUR', valid_from: ago(3e6), imported_at: ago(4e6), in_force: true },
  ],
  [`/operator/tariffs/${uuid(7, 2)}/rates`]: [
    { component: 'call', prefix: '+386', description: 'Slovenija, stacionarno', connect_fee: '0.00', price_per_minute: '0.03', first_increment: 1, next_increment: 1, free_seconds: 0, vat_percent: '22' },
    { component: 'call', prefix: '+38640', description: 'Slovenija, mobilno', connect_fee: '0.05', price_per_minute: '0.079', first_increment: 60, next_increment: 60, free_seconds: 0, vat_percent: '22' },
    { component: 'conference', prefix: '', description: 'Udeleženec v konferenci', connect_fee: '0.00', price_per_minute: '0.0125', first_increment: 60, next_increment: 60, free_seconds: 0, vat_percent: '9.5' },
  ],
};

const SENT = 'Ana, vabimo vas na telekonferenco.';
const previewOf = ({ participants }) => ({
  recipients: participants.length - 1, mails: 3, sms_parts: 10, most_parts: 2,
  examples: [{ participant_id: participants[1].id, name: participants[1].name, sms: { text: `${participants[1].name}, vabimo vas na telekonferenco Skupščina društva, 26. 11. ob 10.00. Pokličite 01 309 93 96, vtipkajte 20419387 in #.`, coding: 'ucs2', length: 118, parts: 2 } }],
  lacking: [{ participant_id: participants[4].id, name: participants[4].name, lacks: ['phone', 'email'] }],
});
const messagesOf = ({ participants, state }) =>
  state !== 'planned' ? [] : [{
    id: uuid(8, 1), purpose: 'invitation', text: SENT, created_at: ago(600), counts: { queued: 1, sent: 1, delivered: 1, failed: 1 },
    deliveries: ['delivered', 'failed', 'queued', 'sent'].map((one, at) => ({
      participant_id: participants[at + 1].id, name: participants[at + 1].name, channel: at === 3 ? 'email' : 'sms', address: at === 3 ? 'oseba@primer.si' : participants[at + 1].phone, parts: 2, state: one, attempts: 1,
      reason: one === 'failed' ? '<img src=x onerror=alert(1)>: absent subscriber' : undefined,
    })),
  }];

const STAGES = { planned: ['planned'], open: ['calling_convener', 'running', 'closing'], over: ['ended', 'failed'] };
const estimateOf = (count) => ({
  connect_net: '0.20', connect_gross: '0.24', minute_net: '0.58', minute_gross: '0.71', tariff: 'base', currency: 'EUR', unrated: count > 5 ? 1 : 0, spent_today: '41.30', daily_cap: '50.00',
  participants: Array.from({ length: count }, (_, at) => ({ participant_id: uuid(4, at), name: '', phone: '', connect_net: '0', connect_gross: '0', minute_net: '0.1', minute_gross: at % 3 ? '0.122' : '0.0488', unrated: at === 5, not_allowed: false })),
});
/** A quarter to ten on a Thursday, three weeks ahead; the second date is full. */
const THURSDAY = new Date(Date.now() + ((11 - new Date().getUTCDay()) % 7 + 14) * 86_400_000).toISOString().slice(0, 10);
const weeks = (starts, count) => Array.from({ length: count }, (_, at) => new Date(Date.parse(`${starts}Z`) + at * 7 * 86_400_000 - 3_600_000).toISOString());
const checked = ({ starts, repeat, participants, channels }) => ({
  people: participants.length + 1,
  occurrences: weeks(starts, repeat?.count ?? 1).map((scheduled_at, at) => ({ starts: scheduled_at.slice(0, 16), scheduled_at, free_places: at === 1 ? 3 : 388, enough: at !== 1 || participants.length < 3 })),
  lacking: channels.includes('email') && participants.length > 3 ? [{ participant_id: uuid(4, 2), name: HOSTILE, lacks: ['email'] }] : [],
});
const plan = {
  id: IDS.plan, title: 'Skupščina društva', agenda: 'Poročilo predsednika\nRazno', starts: `${THURSDAY}T10:00`, time_zone: 'Europe/Ljubljana', length_minutes: 90, repeat: { every: 'month_by_weekday', count: 6 }, start_mode: 'call_convener', channels: ['email'],
  reminders: [60], sequence: 1, created_at: ago(90000),
  occurrences: weeks(`${THURSDAY}T10:00`, 6).map((scheduled_at, at) => ({ conference_id: at === 0 ? conferences.planned.id : uuid(3, 40 + at), state: 'planned', series_start: scheduled_at.slice(0, 16), scheduled_at })),
};

async function textOf(request) {
  let text = '';
  for await (const piece of request) text += piece;
  return text;
}

/** A file of the built console, as the service would send it. */
async function fileOf(pathname) {
  const name = extname(pathname) ? pathname.slice(1) : 'index.html';
  const body = await readFile(new URL(name, dist)).catch(() => undefined);
  return { status: body ? 200 : 404, headers: { 'Content-Type': TYPES[extname(name)] ?? 'application/octet-stream', 'Content-Security-Policy': POLICY }, body };
}

/** Answers a browser's request for a page with the files on disk. */
export const pageFromDisk = async (route) => route.fulfill(await fileOf(new URL(route.request().url()).pathname));

/** Starts it. Whoever signs in, or brings the cookie `sklic_session=yes`, is signed in. */
export async function startMock() {
  const listed = [conferences.planned, ...plan.occurrences.slice(1).map((one) => ({ ...conferences.planned, id: one.conference_id, scheduled_at: one.scheduled_at })), conferences.thirty, conferences.ended, conferences.failed];
  const answer = (response, status, body) => {
    response.writeHead(status, { 'Content-Type': status >= 400 ? 'application/problem+json' : 'application/json' });
    response.end(JSON.stringify(body));
  };
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://localhost');
    if (!pathname.startsWith('/api/v1')) {
      const { status, headers, body } = await fileOf(pathname);
      response.writeHead(status, headers);
      response.end(body);
      return;
    }
    const path = pathname.slice('/api/v1'.length);
    const signedIn = /sklic_session=yes/.test(request.headers.cookie ?? '');
    if (path === '/login') {
      const { user_number, password } = JSON.parse(await textOf(request));
      if (user_number === '100200' && password === 'geslo geslo') {
        response.setHeader('Set-Cookie', 'sklic_session=yes; Path=/; HttpOnly; SameSite=Lax');
        return answer(response, 200, me);
      }
      if (user_number === '999') {
        response.setHeader('Retry-After', '840');
        return answer(response, 429, { type: 'urn:sklic:problem:locked_out', title: '', status: 429 });
      }
      return answer(response, 401, { type: 'urn:sklic:problem:wrong_login', title: '', status: 401 });
    }
    if (!signedIn) return answer(response, 401, { type: 'urn:sklic:problem:not_signed_in', title: '', status: 401 });
    if (path === '/me') return answer(response, 200, me);
    if (path === '/contacts') return answer(response, 200, { contacts });
    if (path === '/groups') return answer(response, 200, groups);
    if (path === '/charges') return answer(response, 200, { charges: [{ payer: 'convener', status: 'rated', conference: conferences.ended.id, gross: '24.60', currency: 'EUR' }] });
    if (path in operatorAnswers) return answer(response, 200, operatorAnswers[path]);
    if (path === '/sessions') return answer(response, 200, sessions);
    if (path === '/conferences') return answer(response, 200, { conferences: listed.filter(({ state }) => STAGES[searchParams.get('state')].includes(state)).map(summary) });
    if (path === '/estimate') return answer(response, 200, estimateOf(JSON.parse(await textOf(request)).participants.length + 1));
    if (path === '/plans/check') return answer(response, 200, checked(JSON.parse(await textOf(request))));
    if (path === '/plans') return answer(response, 200, { plans: [plan].filter(({ occurrences }) => !searchParams.has('conference') || occurrences.some((one) => one.conference_id === searchParams.get('conference'))) });
    if (path === `/plans/${plan.id}`) return answer(response, 200, plan);
    if (path === `/plans/${plan.id}/messages`) return answer(response, 200, { messages: messagesOf(conferences.planned) });
    if (path.startsWith('/contacts/import')) {
      const body = await textOf(request);
      const bad = body.split(/\r?\n/).flatMap((line, at) => (/;abc;/.test(line) ? [{ field: `lines[${at + 1}].phone`, code: 'invalid_number', message: '' }] : []));
      const lines = body.trim().split(/\r?\n/).map((text, at) => ({ line: at + 1, name: text.split(';')[0], phone: text.split(';')[1] }));
      const contacts = lines.slice(1).filter(({ line }) => !bad.some(({ field }) => field.startsWith(`lines[${line}]`)));
      return answer(response, 200, { imported: contacts.length, skipped: bad.length, errors: bad, contacts });
    }
    const found = /^\/conferences\/([^/]+)(\/.*)?$/.exec(path);
    const one = found && Object.values(conferences).find(({ id }) => id === found[1]);
    if (!one) return answer(response, 404, { type: 'urn:sklic:problem:not_found', title: '', status: 404 });
    if (!found[2]) return answer(response, 200, one);
    if (found[2] === '/estimate') return answer(response, 200, estimateOf(one.participants.length));
    if (found[2] === '/messages') return answer(response, 200, { messages: messagesOf(one) });
    if (found[2] === '/messages/preview') return answer(response, 200, previewOf(one));
    if (found[2] === '/report') return answer(response, 200, report(one));
    if (found[2] === '/live') {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write(`event: snapshot\nid: ${one.seq}\ndata: ${JSON.stringify(one)}\n\n`);
      return undefined;
    }
    return answer(response, 202, one);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  return {
    url: `http://127.0.0.1:${port}`,
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
