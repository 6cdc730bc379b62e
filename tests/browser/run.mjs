// Runs the browser tests, some at a time, and prints how many passed. Usage: node tests/browser/run.mjs [part of a name]
// With SKLIC_CONSOLE_FROM_DISK=1 the pages come from web/dist, so that a change of them needs no new binary.
import { launch } from './browser.mjs';
import { pageFromDisk, startMock } from './mock.mjs';
import { hasLab, startLab } from './lab.mjs';
import { startService } from './service.mjs';
import * as conference from './conference.mjs';
import * as directory from './directory.mjs';
import * as healing from './healing.mjs';
import * as operator from './operator.mjs';
import * as pages from './pages.mjs';
import * as plans from './plans.mjs';

const AT_ONCE = 3;
const only = process.argv[2];
/** What is played once more on the lab's real switch, one after the other: the phones are few. */
const REAL = ['mainJobByMouse', 'mainJobByKeyboard', 'twoWindowsSeeOneState', 'cutConnectionHeals', 'callersAtTheDoor'];
/** What the simulated switch cannot play: nobody calls in there. */
const ONLY_REAL = ['callersAtTheDoor'];
const tests = [conference, directory, healing, operator, pages, plans].flatMap((module) => Object.entries(module));
const fits = ({ name }) => !only || name.includes(only);
const simulated = tests.filter(([name]) => !ONLY_REAL.includes(name)).map(([name, test]) => ({ name, test })).filter(fits);
const real = tests.filter(([name]) => REAL.includes(name)).map(([name, test]) => ({ name: `${name} on a real switch`, test, real: true })).filter(fits);
const all = [...simulated, ...real];
// Each test has an account of its own, so that they do not see each other, and another one for a second try.
const accounts = [...all, ...all].map((_, at) => String(300_000 + at));

const browser = await launch();
const mock = await startMock();
const service = await startService(accounts);
let passed = 0;
let failed = [];

async function run(entry, account) {
  const { name, test } = entry;
  const started = Date.now();
  const contexts = [];
  const trouble = [];
  /** A new window, watched: nothing may go wrong in it that the test does not expect. */
  const open = async (options = {}) => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, locale: 'sl-SI', reducedMotion: 'reduce', ...options });
    contexts.push(context);
    if (process.env.SKLIC_CONSOLE_FROM_DISK) await context.route((url) => !url.pathname.startsWith('/api/'), pageFromDisk);
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    page.on('pageerror', (error) => trouble.push(`error in the page: ${error.stack ?? error}`));
    page.on('console', (message) => {
      // Refused requests are reported by the browser itself; the tests look at what the page makes of them.
      if (message.type() === 'error' && !/Failed to load resource|net::ERR/.test(message.text())) trouble.push(`console: ${message.text()}`);
    });
    page.on('dialog', (dialog) => {
      trouble.push(`a script opened a window: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on('request', (request) => {
      const { hostname, protocol } = new URL(request.url());
      if (hostname !== '127.0.0.1' && protocol !== 'blob:' && protocol !== 'data:') trouble.push(`request to the outside: ${request.url()}`);
    });
    return page;
  };
  try {
    await test({ open, service: entry.real ? lab : service, mock, account });
    if (trouble.length > 0) throw new Error(trouble.join('\n'));
    passed += 1;
    console.log(`ok      ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
  } catch (error) {
    failed.push(entry);
    console.log(`FAILED  ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)\n${error.stack}\n${trouble.join('\n')}`);
    for (const [at, context] of contexts.entries())
      for (const page of context.pages()) await page.screenshot({ path: `${process.env.SKLIC_LAB_DIR ?? '/tmp'}/log/browser-${name.replaceAll(' ', '-')}-${at}.png` }).catch(() => undefined);
  }
  for (const context of contexts) await context.close();
}

const queue = simulated.map((test, at) => [test, accounts[at]]);
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (let next = queue.shift(); next; next = queue.shift()) await run(...next);
  }),
);
let lab;
if (real.length > 0 && hasLab()) {
  lab = await startLab(accounts);
  for (const [at, entry] of real.entries()) await run(entry, accounts[simulated.length + at]);
} else if (real.length > 0) console.log('SKIPPED the tests on a real switch: there is no lab (vagrant/provision/lab.sh session -- …)');
// A page that gets no processor for seconds looks like a fault: what failed is tried once more with nothing beside it. Both runs are told.
const again = failed;
failed = [];
for (const entry of again) {
  console.log(`again   ${entry.name}`);
  await run(entry, accounts[all.length + all.indexOf(entry)]);
}
await browser.close();
await mock.stop();
await service.stop();
await lab?.stop();
console.log(`${passed} passed, ${failed.length} failed, ${again.length - failed.length} at the second try`);
process.exitCode = failed.length === 0 && passed > 0 ? 0 : 1;
