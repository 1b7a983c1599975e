// SPDX-License-Identifier: Apache-2.0
// The web console's frame: which page is shown, what is live, logging in and out.
import { ago, el } from './dom.js';
import { api, state } from './data.js';
import { onChange } from './ask.js';
import { overview, packages, satellite, tenants } from './fleet.js';
import { audit, links, passes, rollouts, trust } from './ops.js';

const $ = (id) => document.getElementById(id);
const pages = { overview, passes, rollouts, satellite, tenants, packages, links, trust, audit };
const forStaff = ['passes', 'links', 'trust', 'audit'];
let showing = 0;

function failed(e) {
  return ['berth status', [el('h2', {}, 'This did not work'), el('p', { class: 'bad', role: 'alert' }, '! ' + e.message), el('p', {}, e.fix || '')]];
}

// What has the focus, what is open and how far things are scrolled, by names that last across a redraw.
function remember() {
  const at = document.activeElement;
  const open = new Map([...document.querySelectorAll('#page details')].map((d) => [d.dataset.key, d.open]));
  return { key: at && at.dataset ? at.dataset.key : null, href: at && at.getAttribute ? at.getAttribute('href') : null, label: at && at.getAttribute ? at.getAttribute('aria-label') : null, open };
}

function restore(was) {
  for (const d of document.querySelectorAll('#page details')) if (was.open.has(d.dataset.key)) d.open = was.open.get(d.dataset.key);
  const all = [...document.querySelectorAll('#page a, #page button, #page summary, #page .scroll')];
  const found = all.find((n) => (was.key && n.dataset.key === was.key) || (was.href && n.getAttribute('href') === was.href && n.getAttribute('aria-label') === was.label) || (!was.href && !was.key && was.label && n.getAttribute('aria-label') === was.label));
  found?.focus({ preventScroll: true });
}

async function show(keep) {
  if (!state.me) return;
  const [name, id] = (location.hash.slice(1) || 'overview').split('/').map(decodeURIComponent);
  const turn = ++showing;
  let made;
  try {
    made = await (Object.hasOwn(pages, name) ? pages[name] : overview)(id);
    state.at = Date.now();
  } catch (e) {
    if (e.status === 401) return leave(e.message);
    made = failed(e);
  }
  if (turn !== showing || !state.me) return; // somebody has gone on meanwhile
  const was = keep ? remember() : null;
  $('cli').textContent = made[0];
  $('page').replaceChildren(...made[1].flat(Infinity).filter((x) => x !== null && x !== undefined));
  for (const a of $('nav').children) {
    if (a.hash === '#' + name || (name === 'satellite' && a.hash === '#overview')) a.setAttribute('aria-current', 'page');
    else a.removeAttribute('aria-current');
  }
  document.title = `Berth: ${name}${id ? ' ' + id : ''}`;
  if (was) restore(was);
  else {
    $('main').focus({ preventScroll: true });
    $('told').textContent = '';
    scrollTo(0, 0);
  }
  tick();
}

// ---- live ------------------------------------------------------------------------------------------------------
let due = null;

// Several changes at once are one look.
function soon() {
  if (due === null) due = setTimeout(() => { due = null; show(true); }, 150);
}

function take(block) {
  const event = { data: '', id: '' };
  for (const line of block.split('\n')) {
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
      if (stop.signal.aborted) return undefined;
    }
    $('live').textContent = '\u25cb not live: trying again';
    await new Promise((done) => setTimeout(done, wait));
    wait = Math.min(wait * 2, 30000);
  }
  return undefined;
}

function tick() {
  $('clock').textContent = new Date().toISOString().slice(0, 19).replace('T', ' ') + ' UTC';
  $('age').textContent = state.me && state.at ? `What is shown was read from the ground's store ${ago(Date.now() - state.at)}.` : '';
}

// ---- in and out ------------------------------------------------------------------------------------------------
function leave(why) {
  sessionStorage.removeItem('token');
  Object.assign(state, { token: '', me: null, last: '', served: null });
  state.stop?.abort();
  $('page').replaceChildren();
  $('page').hidden = $('nav').hidden = $('leave').hidden = $('foot').hidden = true;
  $('login').hidden = false;
  $('refused').textContent = why || '';
  $('who').textContent = $('live').textContent = $('told').textContent = '';
  document.title = 'Berth';
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
  for (const a of $('nav').children) a.hidden = state.me.role === 'tenant' && forStaff.includes(a.hash.slice(1));
  $('login').hidden = true;
  $('page').hidden = $('nav').hidden = $('leave').hidden = $('foot').hidden = false;
  follow();
  return show(false);
}

onChange(() => show(true));
$('login').addEventListener('submit', (event) => {
  event.preventDefault();
  state.token = $('token').value.trim();
  $('token').value = '';
  enter();
});
$('leave').addEventListener('click', () => leave(''));
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault(); // the part behind '#' names a page
  $('main').focus();
});
window.addEventListener('hashchange', () => show(false));
setInterval(tick, 1000);
tick();
if (state.token) enter();
