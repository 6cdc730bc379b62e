// Long running: make soak. Holds short conferences on the simulator in rounds, and after each looks at what has grown.
//
//   CONFERENCES=n  how many in all (default 10,000)     ROUNDS=n  in how many rounds (default 5)     AT_ONCE=n  (default 300)
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { openCampaign } from './campaign.mjs';
import { writeSoak } from './results.mjs';
import { ask, insist } from './service.mjs';
import { sql } from './lab.mjs';
import { pause, until } from './until.mjs';

const total = Number(process.env.CONFERENCES || '10000');
const rounds = Number(process.env.ROUNDS || '5');
const atOnce = Number(process.env.AT_ONCE || '300');
/** What may be more at the end than after the second round, when every buffer has had its first use. */
const MOST_GROWTH = 1.1;
/** How much more rows a round may add than the first: not every conference goes the same way. */
const MOST_ROWS = 1.5;
/** How long a conference may take, on a machine that has other things to do. */
const PATIENCE_SECONDS = 300;
/** Tables whose rows belong to conferences: they grow with them, and retention empties the journal and what was sent. */
const KEPT = ['conferences', 'participants', 'legs', 'charges'];

const campaign = await openCampaign({ pbx: 'simulator', conferences: 8, seconds: 7200, megabytes: 2_000 });
const { service, lab } = campaign;

/** A number of the service's own metrics, over all labels. */
async function metric(text, name) {
  return text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `)).reduce((sum, line) => sum + Number(line.split(' ').pop()), 0);
}

async function sample(held) {
  const status = readFileSync(`/proc/${service.pid}/status`, 'utf8');
  const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)[1]);
  const metrics = await (await fetch(`${service.url}/metrics`)).text();
  const counts = lab.database.counts();
  return {
    held, rss: field('VmRSS'), threads: field('Threads'), descriptors: readdirSync(`/proc/${service.pid}/fd`).length, metrics: metrics.length,
    conferences: await metric(metrics, 'sklic_conferences'), legs: await metric(metrics, 'sklic_legs'), connections: Number(sql(`SELECT count(*) FROM pg_stat_activity WHERE datname = '${lab.database.name}'`)), counts,
  };
}

/** One conference: the convener hangs up 5 s after his answer; a person answers, another is busy. */
async function hold(number) {
  const account = lab.accounts[number % lab.accounts.length];
  const phone = (person, tail) => `+386599${String(number).padStart(5, '0')}${person}${tail}`;
  const people = [{ name: `Oseba ${number}`, phone: phone(1, '111') }, { name: 'Zasedena', phone: phone(2, '486') }];
  const made = await insist(service, account, 'POST', '/conferences', { title: `Soak ${number}`, participants: people });
  if (!made.ok) throw new Error(`conference ${number}: ${made.status} ${JSON.stringify(made.body)}`);
  const started = await insist(service, account, 'POST', `/conferences/${made.body.id}/start`);
  // One that was answered too late and has begun says so when it is asked again.
  if (!started.ok && started.status !== 409) throw new Error(`start of ${number}: ${started.status} ${JSON.stringify(started.body)}`);
  const over = await until(async () => ['ended', 'failed'].includes((await ask(service, account, 'GET', `/conferences/${made.body.id}`)).body.state), PATIENCE_SECONDS, 2_500);
  if (!over) throw new Error(`conference ${number} is not over after ${PATIENCE_SECONDS} s`);
}

async function round(first, count) {
  let next = first;
  const worker = async () => {
    while (next < first + count) {
      const number = next;
      next += 1;
      await hold(number);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker));
}

const samples = [];
const problems = [];
try {
  for (const account of lab.accounts) await insist(service, account, 'PATCH', '/me', { phone: '+38659999999205' });
  samples.push(await sample(0));
  const each = Math.ceil(total / rounds);
  for (let at = 0; at < rounds; at += 1) {
    const began = Date.now();
    await round(at * each, each);
    await until(async () => lab.database.counts().outbox === 0 || Number(sql("SELECT count(*) FROM outbox WHERE state <> 'sent'", lab.database.name)) === 0, 120, 1_000);
    // The connections of this client are closed after four idle seconds.
    await pause(7_000);
    const now = await sample((at + 1) * each);
    samples.push(now);
    console.log(`${now.held} conferences (${Math.round((now.held - samples.at(-2).held) / ((Date.now() - began) / 1000))} a second): ${now.rss} KiB, ${now.threads} threads, ${now.descriptors} descriptors, ${now.connections} connections, ${now.metrics} bytes of metrics`);
  }
  const [early, last] = [samples[Math.min(2, samples.length - 2)], samples.at(-1)];
  for (const what of ['rss', 'threads', 'descriptors', 'connections', 'metrics']) {
    if (last[what] > early[what] * MOST_GROWTH + 2) problems.push(`${what} grew from ${early[what]} after ${early.held} conferences to ${last[what]} after ${last.held}`);
  }
  for (const what of ['conferences', 'legs']) if (last[what] !== 0) problems.push(`${last[what]} ${what} are left when all are over`);
  for (const [table, count] of Object.entries(last.counts)) {
    const first = samples[1].counts[table] - samples[0].counts[table];
    const latest = count - samples.at(-2).counts[table];
    if (latest > first * MOST_ROWS + 50) problems.push(`${table} grew by ${latest} rows in the last round and by ${first} in the first`);
  }

  // As if 40 days had passed: retention takes what is personal, and leaves what is charged.
  sql("UPDATE conferences SET ended_at = ended_at - interval '40 days'; UPDATE accounts SET retention_days = 30", lab.database.name);
  await service.end('SIGTERM');
  service.launch();
  await service.ready();
  const began = Date.now();
  const erased = await until(() => Number(sql('SELECT count(*) FROM conferences WHERE erased_at IS NULL', lab.database.name)) === 0, 600, 1_000);
  const after = lab.database.counts();
  if (!erased) problems.push('not everything that is due was erased within ten minutes');
  for (const table of KEPT) if (after[table] !== last.counts[table]) problems.push(`${table} had ${last.counts[table]} rows and has ${after[table]} after the erasing`);
  for (const table of ['journal', 'outbox', 'events']) if (after[table] !== 0) problems.push(`${table} still has ${after[table]} rows after the erasing`);
  writeSoak({ samples, after, erasing: Math.round((Date.now() - began) / 1000), problems, date: new Date().toISOString() }, join(import.meta.dirname, 'RESULTS.md'));
  console.log(problems.length === 0 ? `Nothing grew without bound; ${last.held} conferences were erased in ${Math.round((Date.now() - began) / 1000)} s.` : problems.join('\n'));
} finally {
  await campaign.close();
}
process.exitCode = problems.length === 0 ? 0 : 1;
