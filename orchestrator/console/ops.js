// SPDX-License-Identifier: Apache-2.0
// Pages about what happens: passes, rollouts, links, trust, the audit log.
import { ago, el, mark, quiet, said, satelliteLink, short, size, stack, svg, table, tree, utc } from './dom.js';
import { all, api, serves, staff, state } from './data.js';
import { ask } from './ask.js';

// ---- passes ----------------------------------------------------------------------------------------------------
const HOURS = 25;
const HOUR = 3600000;

// A row for each station; a box for each pass, as high as what it is worth.
function timeline(passes, from) {
  const stations = [...new Set(passes.map((p) => p.station))].sort();
  const rows = stations.length;
  const most = Math.max(1, ...passes.map((p) => p.bytes));
  const x = (ms) => 130 + (ms - from) / HOUR * (960 / HOURS);
  const at = svg('svg', { class: 'timeline', viewBox: `0 0 1100 ${rows * 44 + 34}`, role: 'img', 'aria-label': `${passes.length} passes over ${rows} stations in ${HOURS} hours; the table below lists them` });
  for (let h = 0; h <= HOURS; h += 3)
    at.append(svg('line', { x1: x(from + h * HOUR), x2: x(from + h * HOUR), y1: 18, y2: rows * 44 + 24, class: 'quiet', stroke: 'currentColor', 'stroke-opacity': 0.25 }),
      svg('text', { x: x(from + h * HOUR), y: 12, 'text-anchor': 'middle', class: 'quiet', fill: 'currentColor' }, utc(from + h * HOUR).slice(11, 16)));
  stations.forEach((station, row) => {
    const base = 24 + row * 44 + 38;
    at.append(svg('text', { x: 0, y: base - 8, fill: 'currentColor' }, station), svg('line', { x1: 130, x2: 1090, y1: base, y2: base, class: 'quiet', stroke: 'currentColor', 'stroke-opacity': 0.4 }));
    for (const p of passes.filter((q) => q.station === station)) {
      const height = 4 + 32 * p.bytes / most;
      at.append(svg('rect', { x: x(p.begins_ms), width: Math.max(2, x(p.ends_ms) - x(p.begins_ms)), y: base - height, height, class: p.state === 'predicted' ? 'busy' : 'good', fill: p.state === 'predicted' ? 'none' : 'currentColor', stroke: 'currentColor' },
        svg('title', {}, `${p.satellite} over ${p.station}, ${p.begins} to ${p.ends}: ${size(p.bytes)}, ${p.state}`)));
    }
  });
  at.append(svg('line', { x1: x(Date.now()), x2: x(Date.now()), y1: 16, y2: rows * 44 + 26, class: 'bad', stroke: 'currentColor', 'stroke-width': 2 }));
  return at;
}

export async function passes() {
  const answer = await api('/v1/passes');
  const list = answer.passes.filter((p) => p.ends_ms > Date.now()).sort((a, b) => a.begins_ms - b.begins_ms);
  return ['berth passes', [el('h2', {}, 'Passes of the next day'),
    Object.entries(answer.notes || {}).map(([id, why]) => quiet(`${id}: ${typeof why === 'string' ? why : JSON.stringify(why)}`)),
    list.length ? [timeline(list, Math.floor((Date.now() - 600000) / HOUR) * HOUR), quiet('A box is a pass, as high as what it is worth: filled when it is reserved, hollow when it is predicted. The upright line is now.')] : quiet('None are known: the fleet file that was applied has no stations or orbits.'),
    list.length ? table(['Begins, UTC', '#Lasts', 'Satellite', 'Station', '#Highest', '#Worth', 'State'], list.slice(0, 200).map((p) => [
      utc(p.begins_ms), Math.round((p.ends_ms - p.begins_ms) / 1000) + ' s', satelliteLink(p.satellite), p.station,
      p.top_degrees === undefined ? '' : Math.round(p.top_degrees) + '\u00b0', size(p.bytes), said(p.state)]), 'passes') : null,
    list.length > 200 ? quiet(`and ${list.length - 200} more: berth passes lists all.`) : null]];
}

// ---- rollouts --------------------------------------------------------------------------------------------------
const verbs = { pause: ['operator', 'safety'], resume: ['operator'], promote: ['operator'], retry: ['operator'], abort: ['operator', 'safety'], approve: ['operator', 'safety', 'approver'], deny: ['operator', 'safety', 'approver'] };
const possible = { running: ['promote', 'retry', 'pause', 'abort'], paused: ['resume', 'retry', 'abort'], 'awaiting-approval': ['approve', 'deny'] };
const ended = (r) => r.state === 'completed' || r.state === 'aborted';

const mine = (r) => ((r.approvals && r.approvals.given) || []).find((g) => g.who === 'api/' + state.me.name || g.who === state.me.name);
const wants = (r) => (r.approvals ? r.approvals.needed.filter((role) => !r.approvals.given.some((g) => g.role === role)) : []);

// What this person may do with it now.
function offered(r) {
  const may = (possible[r.state] || []).filter((v) => verbs[v].includes(state.me.role));
  return may.filter((v) => v !== 'approve' || (wants(r).includes(state.me.role) && !mine(r)));
}

function buttons(r) {
  return offered(r).map((v) => el('button', { type: 'button', key: `${v}-${r.id}`, class: v === 'abort' || v === 'deny' ? 'danger' : null, on: () => ask(v, r) }, v));
}

// Who may say that it goes on without a satellite: an operator, or whom the policy names.
function mayForce(r) {
  const needed = r.approvals ? r.approvals.needed : [];
  return ['running', 'paused'].includes(r.state) && (needed.length ? needed.includes(state.me.role) : state.me.role === 'operator');
}

// What people have said of a satellite, or the button to say it: of an open wave, and not healthy.
function forced(r, wave, id, word) {
  const f = (r.forced || []).find((x) => x.satellite === id);
  if (f) return quiet(f.missing.length ? `to go on without it waits for ${f.missing.join(' and ')}` : 'goes on without it');
  if (wave.state === 'waiting' || word === 'committed' || !mayForce(r)) return null;
  return el('button', { type: 'button', key: `force-${r.id}-${id}`, class: 'danger', on: () => ask('force', r, id) }, 'force');
}

function approvals(r) {
  if (!r.approvals || r.approvals.needed.length === 0) return null;
  return el('div', { class: 'approvals' }, el('h4', {}, `Approvals: ${r.approvals.given.length} of ${r.approvals.needed.length}`),
    el('ul', { class: 'waves' }, r.approvals.needed.map((role) => {
      const by = r.approvals.given.find((g) => g.role === role);
      return el('li', {}, by ? [said('good', role), ` by ${by.who}, ${utc(by.at_ms)} UTC${by.why ? ': ' + by.why : ''}`] : [said('unknown', role), ' is missing']);
    })),
    r.state === 'awaiting-approval' && mine(r) && wants(r).length ? quiet(`You have approved; somebody else must, as ${wants(r).join(' and ')}.`) : null);
}

// Where one satellite of a rollout is: what its payload says of the wanted version, or that its wave has not come.
function stand(r, wave, satellite) {
  const p = satellite && (satellite.payloads || []).find((x) => `${x.tenant}/${x.name}` === r.payload);
  if (!satellite) return 'unknown';
  if (r.to ? p && p.state === 'committed' && p.observed_version === r.to : !p || !p.running) return 'committed';
  if (wave.state === 'waiting') return 'waiting';
  if (satellite.verdict === 'silent' || satellite.verdict === 'unknown') return satellite.verdict;
  return p && p.want_version === r.to && p.state !== 'committed' ? p.state : 'pending';
}

function waves(r, by) {
  const counts = new Map();
  const list = r.waves.map((w) => {
    const words = w.satellites.map((id) => [id, stand(r, w, by.get(id))]);
    const own = new Map();
    for (const [, word] of words) {
      counts.set(word, (counts.get(word) || 0) + 1);
      own.set(word, (own.get(word) || 0) + 1);
    }
    return el('li', {}, el('details', { key: `wave-${r.id}-${w.index}`, open: w.satellites.length <= 12 && !ended(r) },
      el('summary', {}, `wave ${w.index} of ${r.waves.length} `, said(w.state), `: ${w.satellites.length} satellite${w.satellites.length === 1 ? '' : 's'}, `, [...own].map(([word, n], i) => [i ? ', ' : '', `${n} ${word}`])),
      el('ul', { class: 'leaves' }, words.slice(0, 200).map(([id, word]) => el('li', {}, satelliteLink(id), ' ', said(word), ' ', forced(r, w, id, word))), words.length > 200 ? el('li', {}, `and ${words.length - 200} more`) : null)));
  });
  const order = ['committed', 'trial', 'installed', 'verified', 'staged', 'receiving', 'pending', 'silent', 'unknown', 'failed', 'refused', 'rolled-back', 'waiting'];
  return [stack([...counts].sort(([a], [b]) => order.indexOf(a) - order.indexOf(b)), 'verdicts of rollout ' + r.id), el('ul', { class: 'tree' }, list)];
}

// What is left to send over the passes to come: a step down at the end of each, and when each wave is likely done.
function burndown(f) {
  const [w, h] = [760, 150];
  const from = f.from_ms;
  const ends = f.steps.map((s) => s.at_ms).concat(f.waves.flatMap((x) => [x.p50_ms, x.p90_ms]).filter((t) => t !== null));
  const to = Math.max(from + HOUR, ...ends);
  const x = (ms) => 70 + (ms - from) / (to - from) * (w - 90);
  const y = (n) => 12 + (1 - n / Math.max(1, f.bytes)) * (h - 42);
  let path = `M${x(from)} ${y(f.bytes)}`;
  for (const s of f.steps) path += `H${x(s.at_ms)}V${y(s.left)}`;
  const at = svg('svg', { class: 'burndown', viewBox: `0 0 ${w} ${h}`, role: 'img', 'aria-label': `${size(f.bytes)} left to send; ${f.steps.length} passes carry it` });
  at.append(svg('line', { x1: 70, x2: w - 20, y1: y(0), y2: y(0), class: 'quiet', stroke: 'currentColor' }),
    svg('text', { x: 64, y: y(f.bytes) + 4, 'text-anchor': 'end', fill: 'currentColor' }, size(f.bytes)), svg('text', { x: 64, y: y(0) + 4, 'text-anchor': 'end', fill: 'currentColor' }, '0'),
    svg('path', { d: path + `H${x(to)}`, class: 'busy', fill: 'none', stroke: 'currentColor', 'stroke-width': 2 }),
    svg('text', { x: 70, y: h - 4, class: 'quiet', fill: 'currentColor' }, short(from)), svg('text', { x: w - 20, y: h - 4, 'text-anchor': 'end', class: 'quiet', fill: 'currentColor' }, short(to)));
  for (const wave of f.waves)
    for (const [name, ms, dash] of [['P50', wave.p50_ms, null], ['P90', wave.p90_ms, '4 3']])
      if (ms !== null) at.append(svg('line', { x1: x(ms), x2: x(ms), y1: 12, y2: y(0), class: 'good', stroke: 'currentColor', 'stroke-dasharray': dash }, svg('title', {}, `wave ${wave.index} ${name}: ${utc(ms)} UTC`)));
  return [el('h4', {}, 'What is left to send'), at,
    table(['Wave', 'Healthy P50, UTC', 'Healthy P90, UTC', '#Left to send'], f.waves.map((v) => [String(v.index), v.p50_ms === null ? 'not within the horizon' : short(v.p50_ms), v.p90_ms === null ? 'not within the horizon' : short(v.p90_ms), size(v.bytes)]), 'forecast'),
    quiet(`Solid upright lines are P50, dashed ones P90, of ${f.draws} draws of the passes' goodput.`)];
}

const FORECAST = '/v1/rollouts/{id}/forecast';

async function forecast(r) {
  if (!staff() || ended(r) || !(await serves(FORECAST))) return null;
  try {
    const f = await api(`/v1/rollouts/${r.id}/forecast`);
    return f.waves.length ? el('details', { key: 'burn-' + r.id, open: true }, el('summary', {}, `Link budget: ${size(f.bytes)} left to send`), burndown(f)) : null;
  } catch (e) {
    return quiet('No forecast: ' + e.message);
  }
}

async function section(r, by) {
  const budget = await forecast(r);
  return el('section', { 'aria-label': 'rollout ' + r.id },
    el('h3', {}, `${r.id}: ${r.payload} ${r.from || '(new)'} \u2192 ${r.to || '(stop)'} `, said(r.state), r.reason ? ': ' + r.reason : ''),
    approvals(r), waves(r, by), budget, el('p', { class: 'buttons' }, buttons(r)));
}

export async function rollouts() {
  const [list, satellites] = await Promise.all([all('/v1/rollouts', 'rollouts'), all('/v1/satellites?fields=id,verdict,payloads', 'satellites')]);
  const by = new Map(satellites.map((s) => [s.id, s]));
  const live = list.filter((r) => !ended(r)).reverse();
  const past = list.filter(ended).reverse().slice(0, 50);
  const sections = await Promise.all(live.map((r) => section(r, by)));
  return ['berth rollout status', [
    el('h2', {}, 'Rollouts'), live.length ? sections : quiet('None is under way: berth apply FLEET.yaml --key OPERATOR.key begins one.'),
    past.length ? [el('h2', {}, 'Ended'), table(['#Rollout', 'Payload', 'Change', 'State', 'Satellites', 'Why'], past.map((r) => [String(r.id), r.payload, `${r.from || '(new)'} \u2192 ${r.to || '(stop)'}`, said(r.state), String(r.waves.reduce((n, w) => n + w.satellites.length, 0)), r.reason || '']), 'ended rollouts')] : null]];
}

// ---- links, trust ----------------------------------------------------------------------------------------------
const oldest = (w) => (w && w.files ? ago(w.oldest_s * 1000) : '-');
const sum = (list, get) => (list || []).reduce((n, x) => n + (get(x) || 0), 0);
const waiting = (w) => (w && w.files ? `${w.files}, ${size(w.bytes)}` : '-');
const linkColumns = [
  ['Up, waiting', (s) => waiting(s.uplink)],
  ['Oldest', (s) => oldest(s.uplink)],
  ['Down, waiting', (s) => waiting(s.downlink)],
  ['Queued', (s) => ((s.queue || []).length ? `${s.queue.length}, ${size(sum(s.queue, (q) => q.bytes ?? q.size))}` : '-')],
  ['#Refused', (s) => String(sum(Object.values(s.refused || {}), Number))],
  ['Keys', (s) => said(s.keys_code === 'OK' ? 'good' : 'failed', `${(s.keys || []).length} ${s.keys_code}`)],
  ['Last report', (s) => ago(s.report_age_ms)],
];

export async function links() {
  const list = await all('/v1/links', 'satellites');
  return ['berth link status', [el('h2', {}, 'Links'), list.length ? table(['Satellite', ...linkColumns.map(([name]) => name)],
    list.map((s) => [satelliteLink(s.id), ...linkColumns.map(([, get]) => get(s))]), 'links') : quiet('No satellites yet.')]];
}

export async function trust() {
  return ['berth trust status', [el('h2', {}, 'Trust'), tree(await api('/v1/trust'))]];
}

// ---- audit -----------------------------------------------------------------------------------------------------
export async function audit() {
  const [entries, verified] = await Promise.all([all('/v1/audit', 'entries'), api('/v1/audit/verify').catch((e) => ({ error: e.message }))]);
  const newest = entries.reverse().slice(0, 500);
  return ['berth audit verify', [el('h2', {}, 'Audit'),
    verified.error ? el('p', { class: 'bad', role: 'alert' }, `${mark('alarm')[0]} The chain does not hold: ${verified.error}`)
      : el('p', { id: 'chain' }, said('good', `whole: ${verified.entries} entries, ${verified.signed} of them signed`), ', head ', el('code', { title: verified.head }, (verified.head || '').slice(0, 16)), `; every link was followed ${ago(0)}`),
    table(['#Number', 'Time, UTC', 'Who', 'Action', 'What', 'Why', 'Signed', 'Hash'], newest.map((e) =>
      [String(e.seq), utc(e.at_ms), e.who, e.action, e.what || '', e.why || '', e.signer ? said('good', 'signed') : '\u00b7 bare', el('code', { title: e.hash }, (e.hash || '').slice(0, 8))]), 'entries'),
    entries.length > 500 ? quiet(`and ${entries.length - 500} older: berth audit log lists them.`) : null]];
}
