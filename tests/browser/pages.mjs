// Every page, in both languages: axe finds nothing, nothing scrolls sideways, names are text. Played by the mock.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { AXE } from './browser.mjs';
import { FOREIGN, HOSTILE, IDS } from './mock.mjs';

const axe = readFileSync(AXE, 'utf8');
const PAGES = {
  new: '/new',
  planned: `/conferences/${IDS.planned}`,
  starting: `/conferences/${IDS.starting}`,
  six: `/conferences/${IDS.six}`,
  thirty: `/conferences/${IDS.thirty}`,
  many: `/conferences/${IDS.many}`,
  states: `/conferences/${IDS.states}`,
  states2: `/conferences/${IDS.states2}`,
  silent: `/conferences/${IDS.silent}`,
  away: `/conferences/${IDS.away}`,
  ended: `/conferences/${IDS.ended}`,
  failed: `/conferences/${IDS.failed}`,
  plan: `/plans/${IDS.plan}`,
  'new plan': '/plan',
  spend: `/conferences/${IDS.spend}`,
  overview: '/conferences',
  report: `/conferences/${IDS.ended}/report`,
  account: '/account',
  operator: '/operator',
  history: '/operator/accounts/100200',
};

async function check(page, name) {
  // By the debugger, because the page's own policy lets no script in.
  const found = await page.evaluate(`${axe}; axe.run(document, { resultTypes: ['violations'] })`);
  const words = found.violations.map((violation) => `${violation.id}: ${violation.help}\n  ${violation.nodes.slice(0, 3).map((node) => node.html.slice(0, 200)).join('\n  ')}`);
  assert.equal(words.length, 0, `${name}\n${words.join('\n')}`);
  assert.ok(found.passes === undefined || found.passes.length >= 0);
}

const settled = (page) => page.waitForFunction(() => document.querySelectorAll('.rect, .card, .panel, .figures, .empty, .sign-in').length > 0 && (document.querySelector('.dir') === null || document.querySelector('.dir-row') !== null));

async function everyPage({ open, mock }, language, options, visit, pages = PAGES) {
  const page = await open({ locale: language === 'sl' ? 'sl-SI' : 'en-GB', ...options });
  await page.addInitScript((chosen) => localStorage.setItem('sklic.language', chosen), language);
  await page.goto(mock.url);
  await page.locator('.sign-in').waitFor();
  await visit(page, 'sign-in');
  await page.context().addCookies([{ name: 'sklic_session', value: 'yes', url: mock.url }]);
  for (const [name, path] of Object.entries(pages)) {
    await page.goto(mock.url + path);
    await settled(page);
    await visit(page, name);
  }
  return page;
}

async function accessible(tools, language, colorScheme) {
  // Two hundred people take long to look at, and are the same in both languages.
  const { many, ...few } = PAGES;
  const pages = language === 'sl' ? { many, ...few } : few;
  const page = await everyPage(tools, language, { colorScheme }, (one, name) => check(one, `${name}, ${language}, ${colorScheme}`), pages);
  // What opens over the pages.
  const opening = async (path, act, name) => {
    await page.goto(tools.mock.url + path);
    await settled(page);
    await act();
    await page.locator('dialog[open], .menu:popover-open').first().waitFor();
    await check(page, `${name}, ${language}, ${colorScheme}`);
  };
  await opening(PAGES.six, () => page.locator('.rect-main').nth(1).click(), 'menu');
  await opening(PAGES.six, () => page.locator('.btn-end').click(), 'end');
  await opening(PAGES.six, () => page.locator('.btn-keys').click(), 'keys');
  await opening(PAGES.planned, () => page.getByRole('button', { name: /^(Sporočilo|Message)$/ }).click(), 'messages');
  await opening(PAGES.plan, () => page.locator('.dates .btn').first().click(), 'another time');
  await opening(PAGES.new, () => page.locator('.dir-row .who').first().click(), 'person');
  await opening(PAGES.new, () => page.locator('.dir-group header .btn-icon').first().click(), 'group');
}

export const accessibleInSlovene = (tools) => accessible(tools, 'sl', 'light');
export const accessibleInEnglish = (tools) => accessible(tools, 'en', 'dark');

export async function nothingScrollsSideways(tools) {
  await everyPage(tools, 'sl', { viewport: { width: 640, height: 700 } }, async (page, name) => {
    // 320 px is also a window of 1280 px at 400 % zoom; 640 one at 200 %.
    for (const width of [640, 320]) {
      await page.setViewportSize({ width, height: 700 });
      const over = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
      assert.ok(over <= 0, `${name} at ${width} px is ${over} px too wide`);
    }
    await page.setViewportSize({ width: 640, height: 700 });
    await namesAreText(page, name);
  });
}

async function namesAreText(page, name) {
  assert.equal(await page.locator('img').count(), 0, name);
  if (['six', 'thirty', 'states', 'planned', 'plan', 'report'].includes(name))
    for (const text of [HOSTILE, FOREIGN]) assert.ok((await page.getByText(text).count()) > 0, `${name}: ${text}`);
}
