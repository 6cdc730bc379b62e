// The service itself with its simulated switch, a database of its own, and an account; for the browser tests.
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../support/port.mjs';

export const BINARY = process.env.SKLIC_BINARY ?? join(process.env.CARGO_TARGET_DIR ?? 'target', 'debug', 'sklic');
const ADMIN = process.env.SKLIC_TEST_DATABASE_URL ?? process.env.SKLIC_LAB_DATABASE_URL;
/** The operator's own account. */
export const STAFF = '900100';
export const PASSWORD = 'zelo dolgo geslo';

function sql(url, text) {
  const done = spawnSync('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-c', text, url], { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`psql: ${done.stderr}`);
}

/** Waits until `look` gives something, and says what it waited for when it does not come. */
export async function until(what, look, seconds = 20) {
  for (const end = Date.now() + seconds * 1000; ; ) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited ${seconds} s for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** What the simulated phones do is decided by the last digits of their numbers. */
const NUMBERS = { answers: ['+38659900111', '+38659900112', '+38659900113', '+38659900114', '+38659900115', '+38659900116', '+38659900117'], busy: '+38659900486' };

function command(config, args, input) {
  const done = spawnSync(BINARY, ['--config', config, ...args], { encoding: 'utf8', input });
  if (done.status !== 0) throw new Error(`sklic ${args[0]}: ${done.stderr}`);
  return done.stdout;
}

/** An account with the password of all of them. */
export function makeAccount(config, user, phone, email, ...more) {
  command(config, ['account', 'add', '--user-number', user, '--password-stdin', '--name', 'Ana Novak', '--phone', phone, '--email', email, '--language', 'sl', '--time-zone', 'Europe/Ljubljana', ...more], `${PASSWORD}\n`);
}

/** Starts a service for these tests. `accounts`: a user number each. */
export async function startService(accounts) {
  if (!ADMIN) throw new Error('no database: run this in a lab session (vagrant/provision/lab.sh run -- …)');
  const database = `sklic_browser_${process.pid}_${randomBytes(4).toString('hex')}`;
  sql(ADMIN, `CREATE DATABASE ${database}`);
  const url = new URL(ADMIN);
  url.pathname = `/${database}`;
  const port = await freePort();
  const dir = mkdtempSync(join(tmpdir(), 'sklic-browser-'));
  const config = join(dir, 'sklic.toml');
  writeFileSync(
    config,
    `[http]
listen = "127.0.0.1:${port}"
public_url = "http://127.0.0.1:${port}"
address_requests_per_second = 2000
address_burst = 5000
account_requests_per_second = 2000
account_burst = 5000
logins_per_minute = 600
[database]
url = "${url.href}"
[[pbx]]
name = "pbx1"
kind = "simulator"
calls_per_second = 200
[numbering]
country = "SI"
short_codes = ["19819"]
accept_prefixes = ["+386599"]
[conference]
allowed_prefixes = ["+386", "+385"]
[mail]
smtp = "smtp://127.0.0.1:${process.env.SKLIC_LAB_SMTP_PORT}"
from = "Sklic <sklic@example.test>"
`,
  );
  command(config, ['migrate']);
  for (const user of accounts) makeAccount(config, user, '+38659900100', 'ana@example.test');
  makeAccount(config, STAFF, '+38659900101', 'osebje@example.test', '--staff');
  const log = [];
  const process_ = spawn(BINARY, ['--config', config, 'serve'], { stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [process_.stdout, process_.stderr]) stream.on('data', (piece) => log.push(String(piece)));
  const base = `http://127.0.0.1:${port}`;
  await until('the service answers', () => fetch(`${base}/healthz`).then((answer) => answer.ok, () => false)).catch((fault) => {
    throw new Error(`${fault.message}\n${log.join('')}`);
  });
  return {
    url: base,
    port,
    log,
    numbers: NUMBERS,
    real: false,
    async stop() {
      process_.kill('SIGTERM');
      await new Promise((resolve) => (process_.exitCode === null ? process_.once('exit', resolve) : resolve()));
      sql(ADMIN, `DROP DATABASE ${database} WITH (FORCE)`);
      rmSync(dir, { recursive: true });
    },
  };
}

/** A program's view of the API, to prepare and to check what the browser did. */
export async function client(service, user) {
  const login = await fetch(`${service.url}/api/v1/login`, { method: 'POST', headers: { 'Content-Type': 'application/json', Origin: service.url }, body: JSON.stringify({ user_number: user, password: PASSWORD }) });
  if (!login.ok) throw new Error(`login: ${login.status}`);
  const cookie = login.headers.get('set-cookie').split(';')[0];
  return async (method, path, body) => {
    const answer = await fetch(`${service.url}/api/v1${path}`, {
      method,
      headers: { Cookie: cookie, Origin: service.url, ...(body === undefined ? {} : { 'Content-Type': typeof body === 'string' ? 'text/csv' : 'application/json' }) },
      body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  };
}

/** A cable between browser and service that can be cut. */
export async function startCable(port) {
  let cut = false;
  const sockets = new Set();
  const server = createServer((near) => {
    if (cut) return near.destroy();
    const far = connect(port, '127.0.0.1');
    for (const [one, other] of [[near, far], [far, near]]) {
      sockets.add(one);
      one.pipe(other);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
    return undefined;
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    cut() {
      cut = true;
      for (const socket of sockets) socket.destroy();
    },
    mend() {
      cut = false;
    },
    stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
