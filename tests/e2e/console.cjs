// SPDX-License-Identifier: Apache-2.0
// The browser of tests/e2e/console: console.cjs PORT DIR BERTH [DIRECTORY FOR SCREENSHOTS]
'use strict';
const assert = require('node:assert');
const { execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const { chromium } = require('playwright-core');

const [port, work, berth, shots] = process.argv.slice(2);
const base = `http://127.0.0.1:${port}/`;
const token = (name) => fs.readFileSync(`${work}/${name}.token`, 'utf8').trim();
const run = (...args) => execFileSync(berth, args, { encoding: 'utf8' });

// A chunk of a payload's log (docs/wire/transfer.cddl), as if it had come: numbers and lines of start 7 of acme/beacon.
function keepLog(satellite) {
  const line = (stream, more, words) => Buffer.concat([Buffer.from([0x84, stream, 0, more, 0x40 + words.length]), Buffer.from(words, 'latin1')]); // below 24 bytes
  const gap = Buffer.from([0x84, 0, 1, 0x18, 34, 0x19, 0x0c, 0x00]); // too fast: 34 lines, 3072 bytes
  const records = [line(3, 0, 'started 1.0.0'), line(1, 0, 'hello'), gap, line(2, 1, 'a long <b>line</b>'), line(2, 0, 'and its end \x1b[2J')];
  const plain = Buffer.concat([Buffer.from([0x85, 7, 1, 0, 0x1b, 0, 0, 0x01, 0x9a, 0, 0, 0, 0, 0x80 + records.length]), ...records]);
  const hex = (n) => n.toString(16).padStart(16, '0');
  const dir = `${work}/home/mail/.logs/acme/${satellite}/beacon`;
  fs.mkdirSync(dir, { recursive: true });
  fs.writeFileSync(`${dir}/${hex(7)}-${hex(1)}-${hex(38)}`, Buffer.concat([Buffer.from([0x84, 1, 0, 0x18, plain.length, 0x58, plain.length]), plain]));
}

// What a person must be able to read: nothing wider than the window, and text that stands out from what is behind it.
function faults() {
  const found = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) found.push(`the page is ${root.scrollWidth} wide in a window of ${root.clientWidth}`);
  const parse = (c) => c.match(/[\d.]+/g).map(Number);
  const channel = (v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (node) => {
    for (let n = node; n; n = n.parentElement) {
      const c = parse(getComputedStyle(n).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
    }
    return matchMedia('(prefers-color-scheme: dark)').matches ? [0, 0, 0] : [255, 255, 255];
  };
  for (const node of document.querySelectorAll('body *')) {
    const own = [...node.childNodes].some((c) => c.nodeType === 3 && c.textContent.trim() !== '');
    if (!own || !node.checkVisibility() || node.closest('svg') || node.disabled) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(behind(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(`${ratio.toFixed(2)}: ${node.textContent.trim().slice(0, 40)}`);
  }
  return found;
}

// The same answer with something in every text of it that would do harm if it were taken for markup.
const HOSTILE = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>\u202e"\'>';
function poison(value) {
  if (typeof value === 'string') return value + HOSTILE;
  if (Array.isArray(value)) return value.map(poison);
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, poison(v)]));
  return value;
}

const PATIENCE_MS = 300000; // against hanging only: the machine may be busy with something else

const PAGES = ['overview', 'passes', 'rollouts', 'tenants', 'packages', 'links', 'trust', 'audit', 'satellite/aurora-2'];

let doing = 'start';

async function main() {
  keepLog('aurora-2');
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', timeout: PATIENCE_MS, args: ['--no-sandbox', '--disable-gpu'] });
  const outside = [];
  const errors = [];

  async function pageOf(options) {
    const context = await browser.newContext(options);
    context.setDefaultTimeout(PATIENCE_MS);
    context.setDefaultNavigationTimeout(PATIENCE_MS);
    return context.newPage();
  }
  async function open(who) {
    const page = await pageOf({ viewport: { width: 1180, height: 760 } });
    page.on('request', (r) => { if (!r.url().startsWith(base)) outside.push(r.url()); });
    // of a payload that has printed nothing there is no log: 404 is the answer
    const expected = (m) => m.location().url.includes('/v1/logs/') && m.text().includes('404');
    page.on('console', (m) => { if (m.type() === 'error' && !expected(m)) errors.push(`${m.text()} ${m.location().url}`); });
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

  doing = 'the login page says nothing of the fleet, and a wrong token opens nothing';
  const nobody = await open(null);
  assert(!(await nobody.content()).includes('aurora'));
  await shot(nobody, 'login');
  await nobody.fill('#token', 'berth_' + '0'.repeat(64));
  await nobody.click('#login button');
  await nobody.waitForFunction(() => document.querySelector('#refused').textContent.includes('API_AUTH'));
  assert(await nobody.isHidden('#page'));
  errors.length = 0; // the browser tells of the 401

  doing = 'first paint: every satellite, with its verdict in words';
  const page = await open('operator');
  assert(/aurora-1[^]*aurora-2[^]*aurora-3/.test(await text(page)));
  assert.match(await page.textContent('#age'), /read from the ground's store/);
  assert.strictEqual(await page.textContent('#cli'), 'berth status');
  assert.match(await page.textContent('#clock'), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
  await page.waitForFunction(() => document.querySelector('#live').textContent.includes('live') && !document.querySelector('#live').textContent.includes('not'));
  await shot(page, 'overview');

  doing = 'live: what the command line does shows by itself';
  await page.click('#nav a[href="#rollouts"]');
  await page.waitForSelector('section[aria-label="rollout 1"]');
  run('rollout', 'pause', '1', '--reason', 'seen live');
  await page.waitForFunction(() => document.querySelector('section[aria-label="rollout 1"]').textContent.includes('seen live'));
  await shot(page, 'rollouts');

  doing = 'a change needs its number typed; by keyboard';
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
  doing = 'what the rules refuse is said: no satellite has reported anything';
  await first.getByRole('button', { name: 'promote' }).click();
  assert(await page.isHidden('#ask-reason'));
  assert.match(await page.textContent('#ask-what'), /berth rollout promote 1$/);
  await page.fill('#ask-word', '1');
  await page.click('#ask-yes');
  await page.waitForFunction(() => document.querySelector('#told').textContent.includes('0 of the 3 satellites'));
  errors.splice(0, errors.length, ...errors.filter((e) => !e.includes('409')));
  doing = 'a rollout goes on without a satellite once its name is typed, and why';
  await page.locator('[data-key="force-1-aurora-2"]').click();
  await page.fill('#ask-word', '1');
  await page.fill('#ask-reason', 'it tumbles');
  assert(await page.isDisabled('#ask-yes'));
  await page.fill('#ask-word', 'aurora-2');
  await page.fill('#ask-reason', '');
  assert(await page.isDisabled('#ask-yes'));
  await page.fill('#ask-reason', 'it tumbles');
  await page.click('#ask-yes');
  await page.waitForFunction(() => document.querySelector('section[aria-label="rollout 1"]').textContent.includes('goes on without it'));
  assert.deepStrictEqual(JSON.parse(run('rollout', 'status', '1', '--json')).rollouts[0].forced, [{ satellite: 'aurora-2', missing: [] }]);
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
  for (const name of ['links', 'trust', 'passes', 'tenants', 'packages']) {
    await page.click(`#nav a[href="#${name}"]`);
    await page.waitForSelector(`#nav a[href="#${name}"][aria-current]`);
    if (name === 'passes') assert((await page.locator('.timeline rect').count()) > 5, 'passes of three satellites');
    assert(!(await text(page)).includes('This did not work'), name);
    await shot(page, name);
  }
  doing = 'quotas as bars that say themselves, of each tenant; every version with where it is';
  await page.click('#nav a[href="#tenants"]');
  const acme = page.locator('section[aria-label="tenant acme"]');
  await acme.waitFor();
  assert.match(await acme.textContent(), /16\.0 MiB of 64\.0 MiB.*25 %.*fleet file/s);
  assert.match(await acme.textContent(), /acme\/optics.*0 B of 32\.0 MiB/s);
  assert.strictEqual(await acme.locator('.meter').first().getAttribute('aria-label'), '16.0 MiB of 64.0 MiB');
  assert.strictEqual(await page.textContent('#cli'), 'berth quota');
  await page.click('#nav a[href="#packages"]');
  const beacon = page.locator('section[aria-label="package acme/beacon"]');
  await beacon.waitFor();
  assert.match(await beacon.textContent(), /1\.0\.0.*aurora-1, aurora-2, aurora-3/s);
  assert.strictEqual(await beacon.locator('.matrix tbody tr').count(), 2);
  assert.match(await beacon.locator('.matrix').textContent(), /not made/);
  doing = 'what is left to send, over the passes to come';
  await page.click('#nav a[href="#rollouts"]');
  await page.waitForSelector('section[aria-label="rollout 1"] .burndown');
  assert.match(await text(page), /left to send.*Healthy P50.*Healthy P90/s);
  assert.match(await text(page), /wave 1 of 1.*3 satellites/s);
  await page.goto(base + '#satellite/aurora-2');
  await page.waitForFunction(() => document.querySelector('#page h2')?.textContent === 'aurora-2');
  assert.strictEqual(await page.textContent('#cli'), 'berth ps aurora-2');
  doing = 'what its payloads have printed, with what is missing; nothing in it is taken for markup or for a terminal';
  const log = page.locator('details[data-key="log-acme/beacon"]');
  await log.locator('summary').click();
  assert.match(await log.locator('summary').textContent(), /^acme\/beacon: 4 lines, 34 missing \(3\.0 KiB\)$/);
  const at = new Date(0x19a00000000).toISOString().slice(0, 19).replace('T', ' ');
  assert.deepStrictEqual((await log.locator('pre').textContent()).split('\n'), [`${at} --- started 1.0.0`, `${at} out hello`,
    '! 3.0 KiB missing here, 34 lines: too fast', `${at} err a long <b>line</b> \\`, `${at} err and its end \\x1b[2J`, '']);
  assert.match(await page.locator('details[data-key="log-zenith/beacon"] summary').textContent(), /^zenith\/beacon: nothing has come$/);
  await shot(page, 'satellite');

  doing = 'a tenant sees its own and not a word of another';
  const tenant = await open('tenant');
  assert.match(await text(tenant), /acme\/beacon/);
  for (const name of ['overview', 'rollouts', 'satellite/aurora-1', 'tenants', 'packages', 'links', 'trust', 'audit']) {
    await tenant.goto(base + '#' + name);
    await tenant.waitForFunction((n) => document.title.startsWith('Berth: ' + n.split('/')[0]), name);
    assert(!(await tenant.content()).includes('zenith'), name);
  }
  assert(await tenant.isHidden('#nav a[href="#trust"]'));
  errors.splice(0, errors.length, ...errors.filter((e) => !e.includes('403')));
  doing = 'viewers are offered nothing to change';
  const viewer = await open('viewer');
  await viewer.goto(base + '#rollouts');
  await viewer.waitForSelector('section[aria-label="rollout 1"]');
  assert.strictEqual(await viewer.locator('section button').count(), 0);

  doing = 'by keyboard alone: in, to a page, to a button; what has the focus keeps it when the page is drawn anew';
  const keys = await open(null);
  await keys.keyboard.press('Tab');
  assert.match(await keys.evaluate(() => document.activeElement.className), /skip/);
  const until = async (what, wanted) => {
    for (let i = 0; i < 60; i++) {
      if (await keys.evaluate(wanted)) return;
      await keys.keyboard.press('Tab');
    }
    throw new Error(`${what} is not reached by Tab`);
  };
  await until('the token', () => document.activeElement.id === 'token');
  await keys.keyboard.type(token('operator'));
  await keys.keyboard.press('Enter');
  await keys.waitForSelector('#page h2');
  await until('the rollouts', () => document.activeElement.getAttribute('href') === '#rollouts');
  await keys.keyboard.press('Enter');
  await keys.waitForSelector('section[aria-label="rollout 1"]');
  await until('pause', () => document.activeElement.dataset.key === 'pause-1');
  run('rollout', 'pause', '2', '--reason', 'elsewhere');
  await keys.waitForFunction(() => document.querySelector('section[aria-label="rollout 2"]').textContent.includes('elsewhere'));
  assert.strictEqual(await keys.evaluate(() => document.activeElement.dataset.key), 'pause-1');
  await keys.keyboard.press('Enter');
  await keys.waitForSelector('#ask[open]');
  await keys.keyboard.type('by keyboard');
  await keys.keyboard.press('Tab');
  await keys.keyboard.type('1');
  await keys.keyboard.press('Enter'); // the first button of a form is what Enter means: it calls off
  await keys.waitForSelector('#ask:not([open])', { state: 'attached' });
  assert.match(run('rollout', 'status', '1', '--json'), /"state": ?"running"/);
  await keys.keyboard.press('Enter');
  await keys.waitForSelector('#ask[open]');
  await keys.keyboard.type('by keyboard');
  await keys.keyboard.press('Tab');
  await keys.keyboard.type('1');
  await until('the last step', () => document.activeElement.id === 'ask-yes');
  await keys.keyboard.press('Enter');
  await keys.waitForFunction(() => document.querySelector('section[aria-label="rollout 1"]').textContent.includes('by keyboard'));

  doing = 'names, reasons, events and lines of logs that are written to do harm are text';
  const victim = await pageOf({ viewport: { width: 1280, height: 800 } });
  victim.on('pageerror', (e) => errors.push(String(e)));
  await victim.goto(base);
  await victim.fill('#token', token('operator'));
  await victim.keyboard.press('Enter');
  await victim.waitForSelector('#page h2');
  await victim.route('**/v1/**', async (route) => {
    const url = route.request().url();
    if (url.includes('/v1/events') || url.includes('/v1/openapi.json')) return route.continue();
    const answer = await route.fetch();
    const body = await answer.json();
    const poisoned = poison(body);
    if ('next' in body) poisoned.next = null;
    return route.fulfill({ response: answer, json: poisoned });
  });
  for (const name of PAGES) {
    await victim.goto(base + '#' + name);
    await victim.waitForFunction((n) => document.title.startsWith('Berth: ' + n.split('/')[0]) && document.querySelector('#page').textContent.includes('<img'), name);
    assert.deepStrictEqual(await victim.evaluate(() => [window.pwned, document.querySelectorAll('#page img, #page script, #page iframe').length]), [undefined, 0], name);
  }
  await shot(victim, 'hostile');
  await victim.context().close();

  doing = 'everything can be read: wide and narrow, light and dark';
  for (const colorScheme of ['light', 'dark'])
    for (const width of [1280, 400]) {
      const look = await pageOf({ colorScheme, viewport: { width, height: 800 } });
      await look.goto(base);
      assert.deepStrictEqual(await look.evaluate(faults), [], `login, ${width} ${colorScheme}`);
      await look.fill('#token', token('operator'));
      await look.keyboard.press('Enter');
      await look.waitForSelector('#page h2');
      for (const name of PAGES) {
        await look.goto(base + '#' + name);
        await look.waitForFunction((n) => document.title.startsWith('Berth: ' + n.split('/')[0]), name);
        await shot(look, `${name.split('/')[0]}-${width}-${colorScheme}`);
        assert.deepStrictEqual(await look.evaluate(faults), [], `${name}, ${width} ${colorScheme}`);
      }
      await look.context().close();
    }

  doing = 'two people, each at a browser of their own: nothing goes before both have approved';
  fs.writeFileSync(`${work}/two.yaml`, fs.readFileSync(`${work}/fleet.yaml`, 'utf8').replace('      zenith/beacon: 1.0.0\n', '') + 'rollout:\n  default: {approve: [operator, safety]}\n');
  const [two] = JSON.parse(run('apply', `${work}/two.yaml`, '--supersede', '--no-deltas', '--key', `${work}/keys/operator.key`, '--json')).rollouts;
  const state = () => JSON.parse(spawnSync(berth, ['rollout', 'status', String(two), '--json'], { encoding: 'utf8' }).stdout).rollouts[0].state; // it ends with 7 when paused
  const part = `section[aria-label="rollout ${two}"]`;
  const says = (p, words) => p.waitForFunction(([at, w]) => document.querySelector(at)?.textContent.includes(w), [part, words]);
  const approve = async (p, why) => {
    await p.locator(part).getByRole('button', { name: 'approve' }).click();
    await p.fill('#ask-reason', why);
    assert(await p.isDisabled('#ask-yes'));
    await p.fill('#ask-word', String(two));
    await p.click('#ask-yes');
  };
  await page.goto(base + '#rollouts');
  await says(page, 'Approvals: 0 of 2');
  await approve(page, 'seen on the bench');
  await says(page, 'Approvals: 1 of 2');
  await says(page, 'somebody else must, as safety');
  assert.strictEqual(await page.locator(part).getByRole('button', { name: 'approve' }).count(), 0);
  assert.strictEqual(state(), 'awaiting-approval');
  const safety = await open('safety');
  await safety.goto(base + '#rollouts');
  await says(safety, 'by api/operator');
  assert.match(await safety.textContent(part), /seen on the bench/);
  await shot(safety, 'approve');
  await approve(safety, 'the range is clear');
  await says(safety, 'Approvals: 2 of 2');
  await says(page, 'the range is clear'); // at the other browser it shows by itself
  execFileSync(`${berth}-ground`, ['--once'], { stdio: 'ignore' });
  assert.strictEqual(state(), 'running');
  await safety.locator('#nav a[href="#overview"]').click();
  await safety.locator('#nav a[href="#rollouts"]').click();
  await safety.locator(part).getByRole('button', { name: 'pause' }).click();
  await safety.fill('#ask-reason', 'a ship in the range');
  await safety.fill('#ask-word', String(two));
  await safety.click('#ask-yes');
  await says(page, 'a ship in the range');
  assert.strictEqual(state(), 'paused');
  await shot(page, 'two');
  await safety.context().close();

  doing = 'a token that is taken back ends the session by itself';
  run('token', 'revoke', 'viewer');
  await viewer.waitForSelector('#login', { state: 'visible' });
  errors.splice(0, errors.length, ...errors.filter((e) => !e.includes('401') && !e.includes('403')));

  assert.deepStrictEqual(outside, [], 'requests to elsewhere');
  assert.deepStrictEqual(errors, [], 'errors in the browser');
  await browser.close();
  console.log('console: ok');
}

// Node ends with 0 when nothing is left to wait for, even in the middle: only the end of main is success.
process.exitCode = 1;
process.on('exit', (code) => { if (code) console.error(`console: not to the end: ${doing}`); });
main().then(() => { process.exitCode = 0; }, (e) => {
  console.error(e);
  process.exit(1);
});
