// Pictures of every page in both languages, wide and narrow, light and dark, into web/screenshots/.
import { mkdir } from 'node:fs/promises';
import { launch } from './browser.mjs';
import { IDS, startMock } from './mock.mjs';

const out = new URL('../../web/screenshots/', import.meta.url);
await mkdir(out, { recursive: true });
const only = process.argv[2];

const addAll = async (page) => {
  if (page.viewportSize().width <= 680) await page.locator('.only-phone').first().click();
  await page.locator('.dir-group header .btn-bare:not(.btn-icon)').first().click();
  if (page.viewportSize().width <= 680) await page.locator('.dir-done').click();
  await page.locator('.cost').getByText('€').waitFor();
};
const PAGES = [
  { name: 'sign-in', out: true },
  { name: 'sign-in-wrong', out: true, act: async (page) => { await page.locator('.sign-in .input').first().fill('100'); await page.locator('.pw .input').fill('x'); await page.locator('.sign-in .btn-main').click(); await page.locator('.alert').waitFor(); } },
  { name: 'empty', path: '/new' },
  { name: 'draft', path: '/new', act: addAll },
  { name: 'search', path: '/new', act: async (page) => { if (page.viewportSize().width <= 680) await page.locator('.only-phone').first().click(); await page.locator('#search').fill('za'); } },
  { name: 'person', path: '/new', act: async (page) => { if (page.viewportSize().width <= 680) await page.locator('.only-phone').first().click(); await page.locator('.dir-row .who').first().click(); await page.locator('dialog').waitFor(); } },
  { name: 'group', path: '/new', act: async (page) => { if (page.viewportSize().width <= 680) await page.locator('.only-phone').first().click(); await page.locator('.dir-group header .btn-icon').first().click(); await page.locator('dialog').waitFor(); } },
  { name: 'import', path: '/new', act: async (page) => {
    if (page.viewportSize().width <= 680) await page.locator('.only-phone').first().click();
    await page.locator('.dir-title .btn-icon').first().click();
    await page.locator('.dir-menu .btn').nth(1).click();
    await page.locator('dialog input[type=file]').setInputFiles({ name: 'ljudje.csv', mimeType: 'text/csv', buffer: Buffer.from('ime;telefon\nNova Oseba;040 111 222\nSlaba Številka;abc\nŠe Ena;041 222 333\n') });
    await page.locator('dialog table').waitFor();
  } },
  { name: 'planned', path: `/conferences/${IDS.planned}`, act: (page) => page.locator('.cost').getByText('€').waitFor() },
  { name: 'messages', path: `/conferences/${IDS.planned}`, act: async (page) => { await page.getByRole('button', { name: /^(Sporočilo|Message)$/ }).click(); await page.locator('dialog .bubble').first().waitFor(); await page.locator('dialog .sent').waitFor(); } },
  { name: 'starting', path: `/conferences/${IDS.starting}` },
  { name: 'running-6', path: `/conferences/${IDS.six}` },
  { name: 'running-30', path: `/conferences/${IDS.thirty}` },
  { name: 'running-200', path: `/conferences/${IDS.many}` },
  { name: 'states-1', path: `/conferences/${IDS.states}` },
  { name: 'states-2', path: `/conferences/${IDS.states2}` },
  { name: 'menu', path: `/conferences/${IDS.six}`, act: (page) => page.locator('.rect-main').nth(1).click() },
  { name: 'end', path: `/conferences/${IDS.six}`, act: (page) => page.locator('.btn-end').click() },
  { name: 'keys', path: `/conferences/${IDS.six}`, act: async (page) => { if (await page.locator('.btn-keys').isVisible()) await page.locator('.btn-keys').click(); else await page.locator('.btn-moretools').click(); } },
  { name: 'silent', path: `/conferences/${IDS.silent}` },
  { name: 'lost', path: `/conferences/${IDS.six}`, act: async (page) => { await page.locator('.rect').first().waitFor(); await page.context().setOffline(true); await page.locator('[data-banner=lost]').waitFor(); } },
  { name: 'away', path: `/conferences/${IDS.away}` },
  { name: 'ended', path: `/conferences/${IDS.ended}` },
  { name: 'failed', path: `/conferences/${IDS.failed}` },
  { name: 'plan-new', path: '/new', full: true, act: async (page) => {
    await addAll(page);
    await page.locator('.head a.btn[href="/plan"]').click();
    await page.locator('.panel select').nth(1).selectOption('week');
    await page.locator('.dates .error').waitFor();
  } },
  { name: 'plan', path: `/plans/${IDS.plan}`, full: true, act: (page) => page.locator('.names .btn-icon').first().waitFor() },
  { name: 'plan-move', path: `/plans/${IDS.plan}`, act: async (page) => { await page.locator('.dates .btn').first().click(); await page.locator('dialog').waitFor(); } },
  { name: 'spend', path: `/conferences/${IDS.spend}` },
  { name: 'overview', path: '/conferences' },
  { name: 'report', path: `/conferences/${IDS.ended}/report`, full: true },
  { name: 'account', path: '/account', full: true },
  { name: 'operator', path: '/operator', full: true, act: async (page) => { await page.locator('.card button[aria-expanded]').last().click(); await page.locator('.tablebox-in').waitFor(); } },
  { name: 'history', path: '/operator/accounts/100200', full: true },
  { name: 'lost-page', path: `/conferences/${'0'.repeat(8)}-0000-0000-0000-000000000000` },
];
const SIZES = { wide: { width: 1440, height: 900 }, narrow: { width: 375, height: 800 } };

const mock = await startMock();
const browser = await launch();
let count = 0;
for (const scheme of ['light', 'dark'])
  for (const language of ['sl', 'en'])
    for (const [size, viewport] of Object.entries(SIZES)) {
      const context = await browser.newContext({ viewport, colorScheme: scheme, locale: language === 'sl' ? 'sl-SI' : 'en-GB', reducedMotion: 'reduce' });
      for (const { name, path, out: signedOut, act, full } of PAGES) {
        if (only && !`${name}-${language}-${size}-${scheme}`.includes(only) && name !== only) continue;
        await context.setOffline(false);
        if (signedOut) await context.clearCookies();
        else await context.addCookies([{ name: 'sklic_session', value: 'yes', url: mock.url }]);
        const page = await context.newPage();
        await page.addInitScript((chosen) => {
          localStorage.removeItem('sklic.draft');
          localStorage.setItem('sklic.language', chosen);
        }, language);
        await page.goto(mock.url + (path ?? '/'));
        await page.locator('h1, h2').first().waitFor({ state: 'attached' });
        if (!signedOut) await page.waitForFunction(() => document.querySelectorAll('.rect, .dir-row, .card, .panel, .figures, .empty').length > 0);
        await act?.(page);
        await page.screenshot({ path: new URL(`${name}-${language}-${size}-${scheme}.png`, out).pathname, fullPage: full ?? false, animations: 'disabled' });
        count += 1;
        await page.close();
      }
      await context.close();
    }
await browser.close();
await mock.stop();
console.log(`${count} pictures in web/screenshots/`);
