// The service under test: its configuration, its process, its commands, and its API as the outside world uses it.
import { spawn, spawnSync } from 'node:child_process';
import { openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../support/port.mjs';
import { until } from './until.mjs';

const BINARY = process.env.SKLIC_BINARY ?? join(process.env.CARGO_TARGET_DIR ?? 'target', 'debug', 'sklic');
const FAKETIME = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1';

function configuration({ name, port, database, pbx, link, real, smtp, sms }) {
  return `[service]
name = "${name}"
language = "sl"
[http]
listen = "127.0.0.1:${port}"
public_url = "http://127.0.0.1:${port}"
account_requests_per_second = 2000
account_burst = 5000
address_requests_per_second = 5000
address_burst = 20000
[database]
url = "${database}"
[[pbx]]
name = "lab"
kind = "${pbx}"
address = "127.0.0.1:${link}"
username = "${real?.username ?? ''}"
secret = "${real?.secret ?? ''}"
dial = "${real?.dial ?? '{number}'}"
caller_id = "+38613099396"
calls_per_second = ${pbx === 'simulator' ? 500 : 20}
max_members = 2000
[numbering]
country = "SI"
accept_prefixes = ["+386599"]
[conference]
ring_timeout_seconds = 6
command_timeout_seconds = 5
allowed_prefixes = ["+386599"]
max_conferences_per_account = 200
[mail]
smtp = "smtp://127.0.0.1:${smtp}"
from = "Sklic <sklic@example.test>"
timeout_seconds = 5
[[sms_gateway]]
name = "lab"
kind = "template"
url = "http://127.0.0.1:${sms}/send"
method = "POST"
sender = "Sklic"
timeout_seconds = 5
headers = { Content-Type = "application/json" }
body = '{"to":"{to}","text":"{text}","reference":"{id}"}'
accepted = { statuses = [200], body = "", id = "/id" }
[billing]
currency = "EUR"
`;
}

/** Writes the configuration, makes the schema and loads the tariff; does not start the service. `name`: of this service node. */
export async function prepareService(folder, parts, name = 'sklic') {
  const port = await freePort();
  const config = join(folder, `${name}.toml`);
  writeFileSync(config, configuration({ ...parts, name, port }));
  const clock = join(folder, 'clock');
  const log = openSync(join(folder, `${name}.log`), 'a');
  let child = null;
  const command = (args, input) => {
    const done = spawnSync(BINARY, ['--config', config, ...args], { encoding: 'utf8', input });
    if (done.status !== 0) throw new Error(`sklic ${args.slice(0, 2).join(' ')}: ${done.stderr || done.error}`);
    return done.stdout.trim();
  };
  command(['migrate']);
  // The second node finds the same list there, and a version more of it changes nothing.
  command(['tariff', 'import', join(import.meta.dirname, 'tariff.csv'), '--name', 'base', '--valid-from', '2026-01-01']);
  const url = `http://127.0.0.1:${port}`;
  const exited = () => child === null || child.exitCode !== null || child.signalCode !== null;
  const service = {
    url,
    command,
    get pid() {
      return exited() ? null : child.pid;
    },
    /** Starts the process and does not wait. `stepped`: its clock can be set by `stepClock`. */
    launch({ stepped = false } = {}) {
      const environment = { ...process.env };
      if (stepped) {
        writeFileSync(clock, '+0');
        Object.assign(environment, { LD_PRELOAD: FAKETIME, FAKETIME_TIMESTAMP_FILE: clock, FAKETIME_CACHE_DURATION: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' });
      }
      child = spawn(BINARY, ['--config', config, 'serve'], { stdio: ['ignore', log, log], env: environment });
    },
    /** Waits until it says that all its parts are there. */
    ready: (seconds = 60) => until(async () => (await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2_000) })).ok, seconds, 50),
    answers: (seconds = 60) => until(async () => (await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(2_000) })).ok, seconds, 50),
    /** Another node on the same database, which is asked when this one does not answer; a load balancer would do so. */
    other: null,
    stepClock: (seconds) => writeFileSync(clock, `${seconds < 0 ? '' : '+'}${seconds}`),
    signal: (name) => (exited() ? false : child.kill(name)),
    /** Sends a signal that ends it, and waits until it has. */
    async end(name) {
      if (exited()) return;
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill(name);
      const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
      await gone;
      clearTimeout(timer);
    },
    /** An account with a token of its own. */
    account(user, phone) {
      const email = `f${user}-${process.pid}-${Date.now()}@example.test`;
      command(['account', 'add', '--user-number', user, '--password-stdin', '--name', `Sklicatelj ${user}`, '--phone', phone, '--email', email, '--language', 'sl', '--time-zone', 'Europe/Ljubljana'], 'zelo dolgo geslo\n');
      const token = command(['account', 'token', '--user-number', user]).split(/\s+/).pop();
      return { user, email, token };
    },
    lastWords: () => readFileSync(join(folder, `${name}.log`), 'utf8').split('\n').slice(-8).join('\n'),
  };
  return service;
}

/** One request as a program makes it. Gives the answer's status and body; throws when there is no answer. */
export async function ask(service, account, method, path, body) {
  const from = (node) => fetch(`${node.url}/api/v1${path}`, {
    method,
    signal: AbortSignal.timeout(8_000),
    headers: { Authorization: `Bearer ${account.token}`, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const answer = await from(service).catch((fault) => {
    if (service.other === null || service.other.pid === null) throw fault;
    return from(service.other);
  });
  const text = await answer.text();
  return { status: answer.status, ok: answer.ok, body: text ? JSON.parse(text) : undefined };
}

/** A request that is repeated until it is answered by other than "try again later". */
export async function insist(service, account, method, path, body, seconds = 90) {
  const answer = await until(async () => {
    const tried = await ask(service, account, method, path, body);
    return tried.status === 503 || tried.status === 429 ? undefined : tried;
  }, seconds, 300);
  if (!answer) throw new Error(`${method} ${path} was not answered in ${seconds} s; the service's last words:\n${service.lastWords()}`);
  return answer;
}
