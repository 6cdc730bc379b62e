// What a run does, decided by its seed alone: who is called and how the phones behave, how each conference ends, what breaks and when.
import { chance } from './random.mjs';

/** How a phone behaves is told by the last three digits of its number, on the lab's phones as on the simulator. */
const TAILS = { answers: '111', busy: '486', wrong: '404', rejects: '603', silent: '408' };

const REAL = ['asterisk', 'freeswitch'];
const EVERY = [...REAL, 'simulator'];
export const SWITCHES = EVERY;

/** Every kind of fault, with the switches on which it means something. */
export const KINDS = {
  'service killed': EVERY,
  'service stopped in order': EVERY,
  'service frozen': EVERY,
  'service killed twice': REAL,
  'switch killed': REAL,
  'switch stopped in order': REAL,
  'database stopped': EVERY,
  'database killed': EVERY,
  'database connections cut': EVERY,
  'database disk full': EVERY,
  'no room for the database log': EVERY,
  'link cut': REAL,
  'link slow': REAL,
  'link half open': REAL,
  'clock forward': EVERY,
  'clock back': EVERY,
  'mail server away': EVERY,
  'mail server misbehaves': EVERY,
  'SMS gateway away': EVERY,
  'service killed while database is away': EVERY,
  'switch killed while service is dead': REAL,
  'link cut while database is away': REAL,
  'one of two service nodes killed': REAL,
  'one of two service nodes frozen': REAL,
  'nothing': EVERY,
};

/** The faults of a kind: what breaks, when after the first start, and for how long, in milliseconds. */
function faults(kind, random) {
  const at = Math.round(random.between(500, 13_000));
  const lasting = (low, high) => Math.round(random.between(low, high));
  const one = (what, length, more = {}) => [{ what, at, length, ...more }];
  switch (kind) {
    case 'service killed': return one('service-killed', lasting(100, 8_000));
    case 'service stopped in order': return one('service-stopped', lasting(100, 6_000));
    case 'service frozen': return one('service-frozen', lasting(1_000, 12_000));
    case 'service killed twice': {
      const first = lasting(100, 1_500);
      return [...one('service-killed', first), { what: 'service-killed', at: at + first + lasting(1_200, 3_500), length: lasting(100, 3_000) }];
    }
    case 'switch killed': return one('switch-killed', lasting(200, 6_000));
    case 'switch stopped in order': return one('switch-stopped', lasting(200, 5_000));
    case 'database stopped': return one('database-stopped', lasting(300, 12_000));
    case 'database killed': return one('database-killed', lasting(300, 8_000));
    case 'database connections cut': return one('database-cut', lasting(500, 8_000));
    case 'database disk full': return one('database-full', lasting(2_000, 12_000));
    case 'no room for the database log': return one('database-log-full', lasting(1_000, 10_000));
    case 'link cut': return one('link-cut', lasting(200, 10_000));
    case 'link slow': return one('link-slow', lasting(2_000, 12_000), { delay: lasting(150, 3_000) });
    case 'link half open': return one('link-half-open', lasting(2_000, 15_000));
    case 'clock forward': return one('clock-stepped', lasting(3_000, 14_000), { seconds: random.one([5, 40, 3_600, 90_000]) });
    case 'clock back': return one('clock-stepped', lasting(3_000, 14_000), { seconds: -random.one([5, 40, 3_600, 90_000]) });
    case 'mail server away': return [{ what: 'mail-away', at: 0, length: lasting(18_000, 26_000) }];
    case 'mail server misbehaves': return [{ what: 'mail-fault', at: 0, length: lasting(18_000, 26_000), fault: random.one(['defer', 'close', 'lose-ack', 'hang']) }];
    case 'SMS gateway away': return [{ what: 'sms-away', at: 0, length: lasting(12_000, 26_000), fault: random.one(['refused', 'hang', 'lose-ack', 'error']) }];
    case 'service killed while database is away': {
      const away = lasting(3_000, 9_000);
      return [...one('database-stopped', away), { what: 'service-killed', at: at + lasting(300, 2_000), length: lasting(500, 9_000) }];
    }
    case 'switch killed while service is dead': {
      const dead = lasting(3_000, 9_000);
      return [...one('service-killed', dead), { what: 'switch-killed', at: at + lasting(200, 2_000), length: lasting(200, 7_000) }];
    }
    case 'link cut while database is away': {
      const away = lasting(3_000, 9_000);
      return [...one('database-stopped', away), { what: 'link-cut', at: at + lasting(300, 2_000), length: lasting(500, 9_000) }];
    }
    case 'one of two service nodes killed': return one('node-killed', lasting(1_000, 12_000), { victim: random.whole(0, 1) });
    // Longer than a lease: the other one has taken over when it wakes up and believes that nothing has happened.
    case 'one of two service nodes frozen': return one('node-frozen', lasting(4_000, 14_000), { victim: random.whole(0, 1) });
    case 'nothing': return [];
    default: throw new Error(`there is no fault "${kind}"; name one of: ${Object.keys(KINDS).join(', ')}`);
  }
}

function behaviour(random) {
  if (random.percent(45)) return TAILS.answers;
  if (random.percent(60)) return `2${String(random.whole(5, 16)).padStart(2, '0')}`;
  return random.one([TAILS.busy, TAILS.wrong, TAILS.rejects, TAILS.silent]);
}

/** The plan of the run with this number in a campaign. No two phones of a campaign have the same number. */
export function planOf({ seed, run, kind, conferences }) {
  const random = chance(`${seed}/${run}`);
  const number = (conference, person, tail) => `+386599${String(run).padStart(4, '0')}${conference}${person}${tail}`;
  const planned = [];
  for (let at = 0; at < conferences; at += 1) {
    const ending = random.one(['web', 'web', 'convener']);
    const convenerTail = ending === 'convener' ? `2${String(random.whole(10, 17))}` : TAILS.answers;
    const people = Array.from({ length: random.whole(2, 3) }, (_, person) => number(at, person + 1, behaviour(random)));
    planned.push({
      convener: number(at, 0, convenerTail),
      people,
      late: random.percent(40) ? { number: number(at, 8, behaviour(random)), at: Math.round(random.between(6_000, 14_000)) } : null,
      again: random.percent(30) ? Math.round(random.between(9_000, 14_000)) : null,
      mute: random.percent(30) ? Math.round(random.between(6_000, 14_000)) : null,
      message: kind === 'SMS gateway away' ? Math.round(random.between(1_000, 8_000)) : null,
      start: at === 0 ? 0 : Math.round(random.between(0, 5_000)),
      end: ending === 'web' ? Math.round(random.between(15_000, 20_000)) : null,
    });
  }
  return { seed, run, kind, conferences: planned, faults: faults(kind, random) };
}

/** The kinds of a campaign's runs, each as often as any other, in an order that the seed decides. */
export function kindsOf({ seed, runs, pbx, only }) {
  const possible = Object.keys(KINDS).filter((kind) => KINDS[kind].includes(pbx) && (only.length === 0 || only.some((word) => kind.includes(word))));
  if (possible.length === 0) throw new Error(`no fault on the ${pbx} is called ${only.join(', ')}; there are: ${Object.keys(KINDS).join(', ')}`);
  const random = chance(seed);
  const order = [];
  while (order.length < runs) {
    const round = [...possible];
    while (round.length > 0) order.push(...round.splice(random.whole(0, round.length - 1), 1));
  }
  return order.slice(0, runs);
}
