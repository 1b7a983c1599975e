// SPDX-License-Identifier: Apache-2.0
// The web console: everything that it shows comes from the API (docs/wire/openapi.json) with the token that the
// person gave, which stays in this tab.  Text goes into the page as text, never as markup.
'use strict';

const $ = (id) => document.getElementById(id);
const state = { token: sessionStorage.getItem('token') || '', me: null, at: 0, last: '', stop: null };

// ---- elements --------------------------------------------------------------------------------------------------
function el(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {}))
    if (key === 'on') node.addEventListener('click', value);
    else if (value !== null && value !== undefined) node.setAttribute(key, value);
  for (const child of children.flat(Infinity)) if (child !== null && child !== undefined) node.append(child);
  return node;
}

function table(headings, rows) {
  return el('div', { class: 'scroll' }, el('table', {},
    el('thead', {}, el('tr', {}, headings.map((h) => el('th', { scope: 'col' }, h)))),
    el('tbody', {}, rows.map((row) => el('tr', {}, row.map((cell) => el('td', {}, cell)))))));
}

// A word with a sign before it: nothing is told by colour alone.
const marks = {
  good: ['\u2713', 'good'],
  synced: ['\u2713', 'good'], committed: ['\u2713', 'good'], completed: ['\u2713', 'good'], done: ['\u2713', 'good'],
  pending: ['\u2026', 'busy'], running: ['\u2026', 'busy'], active: ['\u2026', 'busy'], trial: ['\u2026', 'busy'], installed: ['\u2026', 'busy'],
  receiving: ['\u2026', 'busy'], staged: ['\u2026', 'busy'], verified: ['\u2026', 'busy'],
  predicted: ['\u2026', 'busy'], reserved: ['\u2713', 'good'], executing: ['\u2713', 'good'], past: ['\u00b7', 'quiet'],
  silent: ['~', 'quiet'], unknown: ['?', 'quiet'], waiting: ['\u00b7', 'quiet'], aborted: ['\u2014', 'quiet'], absent: ['\u00b7', 'quiet'],
  paused: ['!', 'bad'], failed: ['\u2717', 'bad'], refused: ['\u2717', 'bad'], 'rolled-back': ['\u21a9', 'bad'],
};
const mark = (word) => marks[word] || ['\u00b7', 'quiet'];
const said = (word, text = word) => el('span', { class: mark(word)[1] }, mark(word)[0] + ' ' + text);

function ago(ms) {
  if (ms === null || ms === undefined) return 'never';
  const s = Math.floor(ms / 1000);
  return s < 120 ? s + ' s ago' : s < 7200 ? Math.floor(s / 60) + ' min ago' : s < 172800 ? Math.floor(s / 3600) + ' h ago' : Math.floor(s / 86400) + ' d ago';
}

function size(n) {
  if (n === null || n === undefined || Number.isNaN(n)) return '-';
  for (const unit of ['B', 'KiB', 'MiB']) {
    if (n < 1024) return (unit === 'B' ? n : n.toFixed(1)) + ' ' + unit;
    n /= 1024;
  }
  return n.toFixed(1) + ' GiB';
}

// ---- the API ---------------------------------------------------------------------------------------------------
async function api(path, options = {}) {
  const answer = await fetch(path, { ...options, cache: 'no-store', headers: { Authorization: 'Bearer ' + state.token, ...(options.headers || {}) } });
  const value = await answer.json();
  if (!answer.ok) {
    const e = value.error || { what: answer.statusText, code_name: String(answer.status), why: '', fix: '' };
    throw Object.assign(new Error(`${e.what ? e.what + ': ' : ''}${e.why} (${e.code_name})`), { status: answer.status, fix: e.fix });
  }
  return value;
}

// All pages of a list.
async function all(path, name) {
  const items = [];
  for (let next = null; ;) {
    const page = await api(path + (path.includes('?') ? '&' : '?') + 'limit=1000' + (next ? '&cursor=' + encodeURIComponent(next) : ''));
    items.push(...page[name]);
    if (!page.next) return items;
    next = page.next;
  }
}

// ---- pages -----------------------------------------------------------------------------------------------------
function tiles(rows) {
  return el('ul', { class: 'tiles' }, rows.map(([n, text, kind]) => el('li', {}, el('b', { class: n ? kind : null }, String(n)), text)));
}

function groups(satellites) {
  const by = new Map();
  for (const s of satellites) {
    const plane = (s.labels || '').split(',').find((l) => l.startsWith('plane='));
    const key = plane ? plane.replace('=', ' ') : '';
    by.set(key, [...(by.get(key) || []), s]);
  }
  return [...by].sort(([a], [b]) => (a < b ? -1 : 1));
}

async function overview() {
  const satellites = await all('/v1/satellites', 'satellites');
  const count = (v) => satellites.filter((s) => s.verdict === v).length;
  const alarms = satellites.filter((s) => s.alarm);
  return ['berth status', [
    el('h2', {}, 'Fleet'),
    tiles([[count('synced'), 'synced', 'good'], [count('pending'), 'pending', 'busy'], [count('silent'), 'silent', 'quiet'], [count('unknown'), 'never heard', 'quiet'], [alarms.length, 'alarms', 'bad']]),
    groups(satellites).map(([name, list]) => el('div', { class: 'plane' }, el('h3', {}, name || 'all'),
      el('ul', { class: 'map' }, list.map((s) => el('li', {}, el('a', { class: s.alarm ? 'bad' : mark(s.verdict)[1], href: '#satellite/' + s.id,
        title: `${s.id}: ${s.verdict}${s.alarm ? ', ' + s.alarm : ''}`, 'aria-label': `${s.id}: ${s.verdict}${s.alarm ? ', ' + s.alarm : ''}` }, s.alarm ? '!' : mark(s.verdict)[0])))))),
    alarms.length ? [el('h2', {}, 'Alarms'), table(['Satellite', 'What'], alarms.map((s) => [el('a', { href: '#satellite/' + s.id }, s.id), el('span', { class: 'bad' }, '! ' + s.alarm)]))] : null,
    el('h2', {}, 'Satellites'),
    table(['Satellite', 'Verdict', 'Order', 'Payloads', 'Last report'], satellites.map((s) => [
      el('a', { href: '#satellite/' + s.id }, s.id), said(s.verdict),
      s.generation_wanted === undefined ? '' : `${s.generation_observed}/${s.generation_wanted}`,
      (s.payloads || []).map((p) => el('div', {}, `${p.tenant}/${p.name} ${p.observed_version || '-'} `, said(p.state))), ago(s.report_age_ms)])),
  ].flat(3)];
}

async function satellite(id) {
  const s = await api('/v1/satellites/' + encodeURIComponent(id));
  return ['berth ps ' + id, [
    el('h2', {}, id), el('p', {}, said(s.verdict), ', last report ' + ago(s.report_age_ms), s.alarm ? el('strong', { class: 'bad' }, ' ! ' + s.alarm) : null),
    table(['Payload', 'Wanted', 'Runs', 'State', 'Code', 'Restarts', 'Memory'], (s.payloads || []).map((p) => [
      `${p.tenant}/${p.name}`, p.want_version || '(stop)', p.running ? p.observed_version : '', said(p.state), p.code ? p.code_name : '', p.running ? String(p.restarts) : '', p.running ? size(p.memory_kib * 1024) : ''])),
    (s.events || []).length ? [el('h2', {}, 'Events'), table(['Number', 'Code', 'Times', 'What'], s.events.map((e) => [String(e.seq), e.name, String(e.count), e.what]))] : null,
  ].flat(2)];
}

function bar(waves) {
  const kinds = { done: 'good', active: 'busy', failed: 'bad', waiting: 'quiet' };
  const n = waves.reduce((sum, w) => sum + w.satellites.length, 0) || 1;
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  let x = 0;
  svg.setAttribute('class', 'bar');
  svg.setAttribute('viewBox', `0 0 ${n} 1`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', waves.map((w) => `wave ${w.index} ${w.state}, ${w.satellites.length}`).join('; '));
  for (const w of waves) {
    const part = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
    for (const [k, v] of Object.entries({ x, y: 0, width: w.satellites.length, height: 1, class: kinds[w.state] || 'quiet', fill: 'currentColor', 'fill-opacity': w.state === 'waiting' ? 0.15 : 0.75 })) part.setAttribute(k, v);
    x += w.satellites.length;
    svg.append(part);
  }
  return svg;
}

const verbs = { pause: ['operator', 'safety'], resume: ['operator'], promote: ['operator'], abort: ['operator', 'safety'] };
const reasoned = ['pause', 'abort'];
const possible = { running: ['promote', 'pause', 'abort'], paused: ['resume', 'abort'] };

function buttons(r) {
  return (possible[r.state] || []).filter((v) => verbs[v].includes(state.me.role))
    .map((v) => el('button', { type: 'button', class: v === 'abort' ? 'danger' : null, on: () => ask(v, r) }, v));
}

async function rollouts() {
  const list = (await all('/v1/rollouts', 'rollouts')).reverse();
  return ['berth rollout status', [
    el('h2', {}, 'Rollouts'), list.length ? null : el('p', {}, 'No rollouts.'),
    ...list.map((r) => el('section', { 'aria-label': 'rollout ' + r.id },
      el('h3', {}, `${r.id}: ${r.payload} ${r.from || '(new)'} \u2192 ${r.to || '(stop)'} `, said(r.state), r.reason ? ': ' + r.reason : ''),
      bar(r.waves),
      el('ul', { class: 'waves' }, r.waves.map((w) => el('li', {}, `wave ${w.index} `, said(w.state), ': ',
        w.satellites.map((s, i) => [i ? ', ' : '', el('a', { href: '#satellite/' + s }, s)])))),
      el('p', {}, buttons(r).flatMap((b) => [b, ' '])))),
  ]];
}

const oldest = (w) => (w && w.files ? ago(w.oldest_s * 1000) : '-');
const sum = (list, get) => (list || []).reduce((n, x) => n + (get(x) || 0), 0);
const linkColumns = [
  ['Up, waiting', (s, waits) => waits(s.uplink)],
  ['Oldest', (s) => oldest(s.uplink)],
  ['Down, waiting', (s, waits) => waits(s.downlink)],
  ['Queued', (s) => (s.queue || []).length ? `${s.queue.length}, ${size(sum(s.queue, (q) => q.bytes ?? q.size))}` : '-'],
  ['Refused', (s) => String(sum(Object.values(s.refused || {}), Number)) ],
  ['Keys', (s) => said(s.keys_code === 'OK' ? 'good' : 'failed', `${(s.keys || []).length} ${s.keys_code}`)],
  ['Last report', (s) => ago(s.report_age_ms)],
];

async function links() {
  const list = await all('/v1/links', 'satellites');
  const waits = (w) => (w && w.files ? `${w.files}, ${size(w.bytes)}` : '-');
  return ['berth link status', [el('h2', {}, 'Links'), table(['Satellite', ...linkColumns.map(([name]) => name)],
    list.map((s) => [el('a', { href: '#satellite/' + s.id }, s.id), ...linkColumns.map(([, get]) => get(s, waits))]))]];
}

// Anything, as a list of what it consists of.
function tree(value) {
  if (Array.isArray(value)) return value.length ? el('ul', {}, value.map((v) => el('li', {}, tree(v)))) : 'none';
  if (value && typeof value === 'object') return el('ul', {}, Object.entries(value).map(([k, v]) => el('li', {}, k.replaceAll('_', ' ') + ': ', tree(v))));
  return value === null ? '-' : String(value);
}

async function trust() {
  return ['berth trust status', [el('h2', {}, 'Trust'), tree(await api('/v1/trust'))]];
}

async function audit() {
  const [entries, verified] = await Promise.all([all('/v1/audit', 'entries'), api('/v1/audit/verify').catch((e) => ({ error: e.message }))]);
  return ['berth audit verify', [el('h2', {}, 'Audit'),
    verified.error ? el('p', { class: 'bad', role: 'alert' }, '! ' + verified.error)
      : el('p', {}, said('good', `whole: ${verified.entries} entries, ${verified.signed} of them signed`), `, head ${(verified.head || '').slice(0, 16)}`),
    table(['Number', 'Time, UTC', 'Who', 'Action', 'What', 'Why'], entries.reverse().slice(0, 500).map((e) =>
      [String(e.seq), utc(e.at_ms), e.who, e.action, e.what, e.why]))]];
}

const utc = (ms) => new Date(ms).toISOString().slice(0, 19).replace('T', ' ');
const HOURS = 25;

// One row per station, time from left to right; how high a bar is, is the bytes that a pass is worth.
function timeline(passes, from) {
  const ns = 'http://www.w3.org/2000/svg';
  const stations = [...new Set(passes.map((p) => p.station))].sort();
  const rows = stations.length;
  const most = Math.max(1, ...passes.map((p) => p.bytes));
  const svg = document.createElementNS(ns, 'svg');
  const part = (name, attributes, parent = svg) => {
    const node = document.createElementNS(ns, name);
    for (const [k, v] of Object.entries(attributes)) node.setAttribute(k, v);
    parent.append(node);
    return node;
  };
  const x = (ms) => 130 + (ms - from) / 3600000 * (960 / HOURS);
  svg.setAttribute('class', 'timeline');
  svg.setAttribute('viewBox', `0 0 1100 ${rows * 44 + 34}`);
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', `${passes.length} passes over ${rows} stations in ${HOURS} hours; the table below lists them`);
  for (let h = 0; h <= HOURS; h += 3) {
    part('line', { x1: x(from + h * 3600000), x2: x(from + h * 3600000), y1: 18, y2: rows * 44 + 24, class: 'quiet', stroke: 'currentColor', 'stroke-opacity': 0.25 });
    part('text', { x: x(from + h * 3600000), y: 12, 'text-anchor': 'middle', class: 'quiet', fill: 'currentColor' }).textContent = utc(from + h * 3600000).slice(11, 16);
  }
  stations.forEach((station, row) => {
    const base = 24 + row * 44 + 38;
    part('text', { x: 0, y: base - 8, fill: 'currentColor' }).textContent = station;
    part('line', { x1: 130, x2: 1090, y1: base, y2: base, class: 'quiet', stroke: 'currentColor', 'stroke-opacity': 0.4 });
    for (const p of passes.filter((q) => q.station === station)) {
      const height = 4 + 32 * p.bytes / most;
      const bar = part('rect', { x: x(p.begins_ms), width: Math.max(2, x(p.ends_ms) - x(p.begins_ms)), y: base - height, height, class: p.state === 'predicted' ? 'busy' : 'good', fill: 'currentColor', 'fill-opacity': 0.75 });
      part('title', {}, bar).textContent = `${p.satellite} over ${p.station}, ${p.begins} to ${p.ends}: ${size(p.bytes)}, ${p.state}`;
    }
  });
  part('line', { x1: x(Date.now()), x2: x(Date.now()), y1: 16, y2: rows * 44 + 26, class: 'bad', stroke: 'currentColor', 'stroke-width': 2 });
  return svg;
}

async function passes() {
  const answer = await api('/v1/passes');
  const list = answer.passes.filter((p) => p.ends_ms > Date.now()).sort((a, b) => a.begins_ms - b.begins_ms);
  return ['berth passes', [el('h2', {}, 'Passes of the next day'),
    Object.entries(answer.notes || {}).map(([id, why]) => el('p', { class: 'quiet' }, `${id}: ${typeof why === 'string' ? why : JSON.stringify(why)}`)),
    list.length ? timeline(list, Math.floor((Date.now() - 600000) / 3600000) * 3600000) : el('p', {}, 'None are known: the fleet file has no stations or orbits.'),
    table(['Begins, UTC', 'Lasts', 'Satellite', 'Station', 'Highest', 'Worth', 'State'], list.slice(0, 200).map((p) => [
      utc(p.begins_ms), Math.round((p.ends_ms - p.begins_ms) / 1000) + ' s', el('a', { href: '#satellite/' + p.satellite }, p.satellite), p.station,
      p.top_degrees === undefined ? '' : Math.round(p.top_degrees) + '\u00b0', size(p.bytes), said(p.state)])),
    list.length > 200 ? el('p', {}, `and ${list.length - 200} more: berth passes lists all.`) : null].flat(2)];
}

const pages = { overview, satellite, passes, rollouts, links, trust, audit };
const staff = ['passes', 'links', 'trust', 'audit'];
let showing = 0;

async function show(keep) {
  if (!state.me) return;
  const [name, id] = (location.hash.slice(1) || 'overview').split('/');
  const turn = ++showing;
  let made;
  try {
    made = await (pages[name] || overview)(id);
    state.at = Date.now();
  } catch (e) {
    if (e.status === 401) return leave(e.message);
    made = ['berth status', [el('h2', {}, 'This did not work'), el('p', { class: 'bad', role: 'alert' }, '! ' + e.message), el('p', {}, e.fix || '')]];
  }
  if (turn !== showing) return; // somebody has gone on meanwhile
  const focused = document.activeElement && document.activeElement.getAttribute('href');
  $('cli').textContent = made[0];
  $('page').replaceChildren(...made[1].filter((x) => x !== null));
  for (const a of $('nav').children) {
    if (a.hash === '#' + name || (name === 'satellite' && a.hash === '#overview')) a.setAttribute('aria-current', 'page');
    else a.removeAttribute('aria-current');
  }
  if (!keep) $('main').focus();
  else if (focused) [...document.querySelectorAll('#page a')].find((a) => a.getAttribute('href') === focused)?.focus();
  tick();
}

// ---- changes ---------------------------------------------------------------------------------------------------
function ask(verb, rollout) {
  const dialog = $('ask');
  $('ask-title').textContent = `${verb} rollout ${rollout.id}?`;
  $('ask-what').textContent = `${rollout.payload} ${rollout.from || '(new)'} \u2192 ${rollout.to || '(stop)'}. On the command line: berth rollout ${verb} ${rollout.id}`;
  $('ask-reason').value = $('ask-word').value = '';
  $('ask-reason').hidden = $('ask-label').hidden = !reasoned.includes(verb);
  $('ask-yes').disabled = true;
  $('ask-word').oninput = () => { $('ask-yes').disabled = $('ask-word').value !== String(rollout.id); };
  dialog.onclose = async () => {
    if (dialog.returnValue !== 'yes' || $('ask-word').value !== String(rollout.id)) return;
    const reason = $('ask-reason').value;
    try {
      await api(`/v1/rollouts/${rollout.id}/${verb}`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: reason && reasoned.includes(verb) ? JSON.stringify({ reason }) : undefined });
      await show(true);
    } catch (e) {
      $('live').textContent = '! ' + e.message;
    }
  };
  dialog.returnValue = 'no';
  dialog.showModal();
  $('ask-word').focus();
}

// ---- live ------------------------------------------------------------------------------------------------------
let due = null;

// Several changes at once are one look.
function soon() {
  if (due === null) due = setTimeout(() => { due = null; show(true); }, 150);
}

function take(block) {
  const event = { name: 'message', data: '', id: '' };
  for (const line of block.split('\n')) {
    if (line.startsWith('event: ')) event.name = line.slice(7);
    if (line.startsWith('data: ')) event.data += line.slice(6);
    if (line.startsWith('id: ')) event.id = line.slice(4);
  }
  if (event.id) state.last = event.id;
  if (event.data) soon();
}

async function follow() {
  let wait = 1000;
  const stop = new AbortController();
  state.stop = stop;
  while (!stop.signal.aborted) {
    try {
      const answer = await fetch('/v1/events', { signal: stop.signal, cache: 'no-store', headers: { Authorization: 'Bearer ' + state.token, ...(state.last ? { 'Last-Event-ID': state.last } : {}) } });
      if (answer.status === 401) return leave('The token counts no more.');
      if (!answer.ok) throw new Error(String(answer.status));
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      $('live').textContent = '\u25cf live';
      wait = 1000;
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        const blocks = (text + part.value).split('\n\n');
        text = blocks.pop();
        blocks.forEach(take);
      }
    } catch (e) {
      if (stop.signal.aborted) return;
    }
    $('live').textContent = '\u25cb not live: trying again';
    await new Promise((done) => setTimeout(done, wait));
    wait = Math.min(wait * 2, 30000);
  }
}

function tick() {
  $('clock').textContent = new Date().toISOString().slice(0, 19).replace('T', ' ') + ' UTC';
  $('age').textContent = state.me && state.at ? `What is shown was read from the ground's store ${ago(Date.now() - state.at)}.` : '';
}

// ---- in and out ------------------------------------------------------------------------------------------------
function leave(why) {
  sessionStorage.removeItem('token');
  state.token = '';
  state.me = null;
  state.last = '';
  state.stop?.abort();
  $('page').replaceChildren();
  $('page').hidden = $('nav').hidden = $('leave').hidden = true;
  $('login').hidden = false;
  $('refused').textContent = why || '';
  $('who').textContent = $('live').textContent = '';
  tick();
}

async function enter() {
  try {
    state.me = await api('/v1/me');
  } catch (e) {
    return leave(e.message + (e.fix ? '. ' + e.fix : ''));
  }
  sessionStorage.setItem('token', state.token);
  $('who').textContent = `${state.me.name}, ${state.me.role}${state.me.tenant ? ' of ' + state.me.tenant : ''}`;
  for (const a of $('nav').children) a.hidden = state.me.role === 'tenant' && staff.includes(a.hash.slice(1));
  $('login').hidden = true;
  $('page').hidden = $('nav').hidden = $('leave').hidden = false;
  follow();
  return show(false);
}

$('login').addEventListener('submit', (event) => {
  event.preventDefault();
  state.token = $('token').value.trim();
  $('token').value = '';
  enter();
});
$('leave').addEventListener('click', () => leave(''));
window.addEventListener('hashchange', () => show(false));
setInterval(tick, 1000);
tick();
if (state.token) enter();
