// The connection is cut and comes back; the page says so and heals by itself.
import assert from 'node:assert/strict';
import { signIn } from './browser.mjs';
import { client, PASSWORD, startCable, until } from './service.mjs';

const CUT = 10_000;

export async function cutConnectionHeals({ open, service, account }) {
  const api = await client(service, account);
  const { answers, busy } = service.numbers;
  const planned = await api('POST', '/conferences', { title: 'Prekinjena', participants: [{ name: 'Ena', phone: answers[0] }, { name: 'Dva', phone: answers[1] }, { name: 'Tri', phone: busy }] });
  const cable = await startCable(service.port);
  try {
    const page = await open();
    await signIn(page, cable.url, account, PASSWORD);
    await page.goto(`${cable.url}/conferences/${planned.id}`);
    await page.getByRole('button', { name: 'Začni telekonferenco' }).click();
    await page.locator('.rect[data-state=in], .rect[data-state=talking]').nth(2).waitFor();
    await page.locator('.rect[data-state=busy]').waitFor();
    await page.evaluate(() => (globalThis.sameDocument = true));

    cable.cut();
    const began = Date.now();
    await page.locator('[data-banner=lost]').waitFor();
    // Nothing is green without proof, nothing can be pressed, the last known failure stays.
    assert.deepEqual(await page.locator('.rect').evaluateAll((list) => list.map((one) => one.dataset.state)), ['unknown', 'unknown', 'unknown', 'busy']);
    assert.match(await page.locator('.metrics').innerText(), /–/);
    assert.equal(await page.locator('.btn-end').getAttribute('aria-disabled'), 'true');
    assert.equal(await page.locator('.rect-acts').count(), 0);
    // Meanwhile something happens.
    const one = planned.participants.find(({ name }) => name === 'Ena');
    await api('POST', `/conferences/${planned.id}/participants/${one.id}/mute`);
    await until('ten seconds without connection', () => Date.now() - began > CUT, 15);
    assert.ok(await page.locator('[data-banner=lost]').isVisible());

    cable.mend();
    await page.locator('[data-banner=back]').waitFor();
    await page.locator('.rect[data-state=muted]').filter({ hasText: 'Ena' }).waitFor();
    assert.ok(await page.evaluate(() => globalThis.sameDocument), 'without a reload');
    await page.getByRole('button', { name: 'Utišaj: Dva' }).click();
    await page.locator('.rect[data-state=muted]').filter({ hasText: 'Dva' }).waitFor();
    await page.locator('[data-banner=back]').waitFor({ state: 'detached' });
    await api('POST', `/conferences/${planned.id}/end`);
    await page.getByRole('heading', { name: 'Telekonferenca je končana' }).waitFor();
  } finally {
    cable.stop();
  }
}

export async function controlWithoutConnectionFailsVisibly({ open, service, account }) {
  const api = await client(service, account);
  const planned = await api('POST', '/conferences', { title: 'Zavrnjeno', participants: [{ name: 'Ena', phone: '+38659900311' }] });
  const page = await open();
  await signIn(page, service.url, account, PASSWORD);
  await page.goto(`${service.url}/conferences/${planned.id}`);
  await page.getByRole('button', { name: 'Začni telekonferenco' }).click();
  await page.locator('.rect[data-state=in]').nth(1).waitFor();
  // The service does not take it: the rectangle says so, and offers it again.
  await page.route('**/mute', (route) => route.fulfill({ status: 503, contentType: 'application/problem+json', body: '{"type":"urn:sklic:problem:unavailable","title":"","status":503}' }));
  const rect = page.locator('.rect').filter({ hasText: 'Ena' });
  await rect.getByRole('button', { name: 'Utišaj: Ena' }).click();
  await rect.getByText('Utišanje ni uspelo').waitFor();
  assert.equal(await rect.getAttribute('data-state'), 'in');
  await page.unroute('**/mute');
  await rect.getByRole('button', { name: 'Poskusi znova: Ena' }).click();
  await page.locator('.rect[data-state=muted]').filter({ hasText: 'Ena' }).waitFor();
  await api('POST', `/conferences/${planned.id}/end`);
}
