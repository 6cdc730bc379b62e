// Chromium for the tests: Debian's own, driven by playwright-core from the console's dependencies.
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../web/package.json', import.meta.url));
const { chromium } = require('playwright-core');
export const AXE = require.resolve('axe-core/axe.min.js');

export const launch = () =>
  chromium.launch({
    executablePath: process.env.SKLIC_CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });

/** Signs in through the page itself. */
export async function signIn(page, url, user = '100200', password = 'geslo geslo') {
  await page.goto(url);
  await page.getByLabel(/Uporabniška številka|User number/).fill(user);
  await page.getByLabel(/^(Geslo|Password)$/).fill(password);
  await page.keyboard.press('Enter');
  await page.locator('header.top').waitFor();
}
