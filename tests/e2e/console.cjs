// SPDX-License-Identifier: Apache-2.0
// The browser of tests/e2e/console: console.cjs PORT DIR BERTH [DIRECTORY FOR SCREENSHOTS]
'use strict';
const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const { chromium } = require('playwright-core');

const [port, work, berth, shots] = process.argv.slice(2);
const base = `http://127.0.0.1:${port}/`;
const token = (name) => fs.readFileSync(`${work}/${name}.token`, 'utf8').trim();
const run = (...args) => execFileSync(berth, args, { encoding: 'utf8' });

async function main() {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
  const outside = [];
  const errors = [];

  async function open(who) {
    const context = await browser.newContext({ viewport: { width: 1180, height: 760 } });
    const page = await context.newPage();
    page.on('request', (r) => { if (!r.url().startsWith(base)) outside.push(r.url()); });
    page.on('console', (m) => { if (m.type() === 'error') errors.push(m.text()); });
    page.on('pageerror', (e) => errors.push(String(e)));
    await page.goto(base);
    if (who) {
      await page.fill('#token', token(who));
      await page.keyboard.press('Enter');
      await page.waitForSelector('#page h2');
    }
    return page;
  }
  const shot = (page, name) => (shots ? page.screenshot({ path: `${shots}/${name}.png`, fullPage: true }) : null);
  const text = (page) => page.textContent('main');

  // the login page says nothing of the fleet, and a wrong token opens nothing
  const nobody = await open(null);
  assert(!(await nobody.content()).includes('aurora'));
  await shot(nobody, 'login');
  await nobody.fill('#token', 'berth_' + '0'.repeat(64));
  await nobody.click('#login button');
  await nobody.waitForFunction(() => document.querySelector('#refused').textContent.includes('API_AUTH'));
  assert(await nobody.isHidden('#page'));
  errors.length = 0; // the browser tells of the 401

  // first paint: every satellite, with its verdict in words
  const page = await open('operator');
  assert(/aurora-1[^]*aurora-2[^]*aurora-3/.test(await text(page)));
  assert.match(await page.textContent('#age'), /read from the ground's store/);
  assert.strictEqual(await page.textContent('#cli'), 'berth status');
  assert.match(await page.textContent('#clock'), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
  await page.waitForFunction(() => document.querySelector('#live').textContent.includes('live') && !document.querySelector('#live').textContent.includes('not'));
  await shot(page, 'overview');

  // live: what the command line does shows by itself
  await page.click('#nav a[href="#rollouts"]');
  await page.waitForSelector('section[aria-label="rollout 1"]');
  run('rollout', 'pause', '1', '--reason', 'seen live');
  await page.waitForFunction(() => document.querySelector('section[aria-label="rollout 1"]').textContent.includes('seen live'));
  await shot(page, 'rollouts');

  // a change needs its number typed; by keyboard
  const first = page.locator('section[aria-label="rollout 1"]');
  await first.getByRole('button', { name: 'resume' }).focus();
  await page.keyboard.press('Enter');
  await page.waitForSelector('#ask[open]');
  assert(await page.isDisabled('#ask-yes'));
  await page.fill('#ask-word', '2');
  assert(await page.isDisabled('#ask-yes'));
  await page.fill('#ask-word', '1');
  await shot(page, 'confirm');
  await page.click('#ask-yes');
  await page.waitForFunction(() => document.querySelector('section[aria-label="rollout 1"] h3').textContent.includes('running'));
  assert.match(run('rollout', 'status', '1', '--json'), /"state": ?"running"/);
  // what the rules refuse is said: no satellite has reported anything
  await first.getByRole('button', { name: 'promote' }).click();
  assert(await page.isHidden('#ask-reason'));
  assert.match(await page.textContent('#ask-what'), /berth rollout promote 1$/);
  await page.fill('#ask-word', '1');
  await page.click('#ask-yes');
  await page.waitForFunction(() => document.querySelector('#live').textContent.includes('0 of the 3 satellites'));
  errors.splice(0, errors.length, ...errors.filter((e) => !e.includes('409')));
  // ... and nothing happens when it is called off
  await first.getByRole('button', { name: 'abort' }).click();
  await page.fill('#ask-word', '1');
  await page.keyboard.press('Escape');
  await page.waitForSelector('#ask:not([open])', { state: 'attached' });
  assert.match(run('rollout', 'status', '1', '--json'), /"state": ?"running"/);
  await page.click('#nav a[href="#audit"]');
  await page.waitForFunction(() => document.querySelector('#page').textContent.includes('api/operator'));
  await shot(page, 'audit');
  assert.match(await text(page), /whole: \d+ entries/);
  for (const name of ['links', 'trust', 'passes']) {
    await page.click(`#nav a[href="#${name}"]`);
    await page.waitForSelector(`#nav a[href="#${name}"][aria-current]`);
    if (name === 'passes') assert((await page.locator('.timeline rect').count()) > 5, 'passes of three satellites');
    assert(!(await text(page)).includes('This did not work'), name);
    await shot(page, name);
  }
  await page.goto(base + '#satellite/aurora-2');
  await page.waitForFunction(() => document.querySelector('#page h2')?.textContent === 'aurora-2');
  assert.strictEqual(await page.textContent('#cli'), 'berth ps aurora-2');
  await shot(page, 'satellite');

  // a tenant sees its own and not a word of another
  const tenant = await open('tenant');
  assert.match(await text(tenant), /acme\/beacon/);
  for (const name of ['overview', 'rollouts', 'satellite/aurora-1', 'links', 'trust', 'audit']) {
    await tenant.goto(base + '#' + name);
    await tenant.waitForTimeout(0);
    await tenant.waitForFunction((n) => document.querySelector('#page') && location.hash === '#' + n, name);
    assert(!(await tenant.content()).includes('zenith'), name);
  }
  assert(await tenant.isHidden('#nav a[href="#trust"]'));
  errors.splice(0, errors.length, ...errors.filter((e) => !e.includes('403')));
  // viewers are offered nothing to change
  const viewer = await open('viewer');
  await viewer.goto(base + '#rollouts');
  await viewer.waitForSelector('section[aria-label="rollout 1"]');
  assert.strictEqual(await viewer.locator('section button').count(), 0);

  // dark, and narrow
  const dark = await browser.newContext({ colorScheme: 'dark', viewport: { width: 420, height: 800 } });
  const small = await dark.newPage();
  await small.goto(base);
  await small.fill('#token', token('viewer'));
  await small.keyboard.press('Enter');
  await small.waitForSelector('#page h2');
  await shot(small, 'narrow-dark');

  // a token that is taken back ends the session by itself
  run('token', 'revoke', 'viewer');
  await viewer.waitForSelector('#login', { state: 'visible' });
  errors.splice(0, errors.length, ...errors.filter((e) => !e.includes('401') && !e.includes('403')));

  assert.deepStrictEqual(outside, [], 'requests to elsewhere');
  assert.deepStrictEqual(errors, [], 'errors in the browser');
  await browser.close();
  console.log('console: ok');
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});
