// SPDX-License-Identifier: Apache-2.0
// Pages about what there is: the fleet, one satellite, tenants, packages.
import { ago, el, gauge, mark, quiet, said, satelliteLink, short, size, table, tree, utc } from './dom.js';
import { all, api, staff } from './data.js';

const LISTED = 200; // rows of a table; the command lists all

function tiles(rows) {
  return el('ul', { class: 'tiles' }, rows.map(([n, word, text]) => el('li', {}, el('b', { class: n ? mark(word)[1] : 'quiet' }, `${mark(word)[0]} ${n}`), text)));
}

function planes(satellites) {
  const by = new Map();
  for (const s of satellites) {
    const plane = (s.labels || '').split(',').find((l) => l.startsWith('plane='));
    const key = plane ? plane.replace('=', ' ') : '';
    if (!by.has(key)) by.set(key, []);
    by.get(key).push(s);
  }
  return [...by].sort(([a], [b]) => (a < b ? -1 : 1));
}

const wordOf = (s) => (s.alarm ? 'alarm' : s.verdict);
const describe = (s) => `${s.id}: ${s.verdict}${s.alarm ? ', ' + s.alarm : ''}, last report ${ago(s.report_age_ms)}`;

function heat(satellites) {
  const many = satellites.length > 400;
  return [planes(satellites).map(([name, list]) => el('div', { class: 'plane' }, el('h3', {}, name || 'no plane', el('span', { class: 'quiet' }, ` ${list.filter((s) => wordOf(s) === 'synced').length}/${list.length}`)),
    el('ul', { class: many ? 'map many' : 'map' }, list.map((s) => el('li', {}, el('a', { class: mark(wordOf(s))[1], href: '#satellite/' + encodeURIComponent(s.id), title: describe(s), 'aria-label': describe(s) }, mark(wordOf(s))[0])))))),
    el('p', { class: 'quiet' }, 'Each box is a satellite: ', ['synced', 'pending', 'silent', 'unknown', 'alarm'].map((w) => [said(w), ' \u2002 ']))];
}

async function nextPasses() {
  if (!staff()) return null;
  const list = (await api('/v1/passes').catch(() => ({ passes: [] }))).passes.filter((p) => p.ends_ms > Date.now()).sort((a, b) => a.begins_ms - b.begins_ms);
  return [el('h2', {}, 'Next passes'), list.length ? table(['Begins, UTC', 'Satellite', 'Station', '#Worth', 'State'], list.slice(0, 6).map((p) => [
    `${short(p.begins_ms)} (${p.begins_ms <= Date.now() ? 'now' : 'in ' + ago(p.begins_ms - Date.now()).replace(' ago', '')})`, satelliteLink(p.satellite), p.station, size(p.bytes), said(p.state)]), 'next passes')
    : quiet('None are known: the fleet file that was applied has no stations or orbits.')];
}

export async function overview() {
  const [satellites, passes] = await Promise.all([all('/v1/satellites', 'satellites'), nextPasses()]);
  const count = (v) => satellites.filter((s) => s.verdict === v).length;
  const alarms = satellites.filter((s) => s.alarm);
  const order = ['alarm', 'pending', 'silent', 'unknown', 'synced'];
  const rows = [...satellites].sort((a, b) => order.indexOf(wordOf(a)) - order.indexOf(wordOf(b)) || (a.id < b.id ? -1 : 1));
  return ['berth status', [
    el('h2', {}, 'Fleet'),
    tiles([[count('synced'), 'synced', 'run what is wanted'], [count('pending'), 'pending', 'on the way'], [count('silent'), 'silent', 'silent'], [count('unknown'), 'unknown', 'never heard'], [alarms.length, 'alarm', 'alarms']]),
    satellites.length ? heat(satellites) : quiet('No satellites yet: berth provision SATELLITE --node N --out DIR adds one.'),
    alarms.length ? [el('h2', {}, 'Alarms'), table(['Satellite', 'What'], alarms.map((s) => [satelliteLink(s.id), el('span', { class: 'bad' }, '! ' + s.alarm)]), 'alarms')] : null,
    passes,
    el('h2', {}, 'Satellites'),
    table(['Satellite', 'Verdict', staff() ? 'Order' : '', 'Payloads', 'Last report'], rows.slice(0, LISTED).map((s) => [
      satelliteLink(s.id), said(s.verdict), s.generation_wanted === undefined ? '' : `${s.generation_observed}/${s.generation_wanted}`,
      (s.payloads || []).map((p) => el('div', {}, `${p.tenant}/${p.name} ${p.observed_version || '-'} `, said(p.state))), ago(s.report_age_ms)]), 'satellites'),
    rows.length > LISTED ? quiet(`and ${rows.length - LISTED} more, which are well: berth status lists all.`) : null,
  ]];
}

const digest = (d) => (d ? el('code', { title: d }, d.slice(0, 12)) : '-');

// One payload's way from wanted to running, as the satellite tells it.
function slots(s) {
  return table(['Payload', 'Wanted', 'Digest', 'Runs', 'Digest', 'State', 'Goes as', '#Restarts', '#Memory'], (s.payloads || []).map((p) => [
    `${p.tenant}/${p.name}`, p.want_version || '(stop)', digest(p.want_digest), p.running ? p.observed_version : '-', digest(p.running ? p.observed_digest : null),
    [said(p.state), p.reason || p.code ? el('div', { class: 'bad' }, p.reason || p.code_name) : null, p.drifted ? el('div', { class: 'bad' }, '! drifted: nobody ordered this') : null],
    p.sent_as ? `${p.sent_as}, ${size(p.sent_bytes)}` : '-', p.running ? String(p.restarts) : '-', p.running ? size(p.memory_kib * 1024) : '-']), 'slots');
}

// The state vector: what the newest report says of the whole satellite.
function vector(s) {
  const agent = s.agent && s.agent.version ? s.agent.version : null;
  const rows = [['Verdict', said(s.verdict)], ['Last report', ago(s.report_age_ms)]];
  if (staff())
    rows.push(['Order', `${s.generation_observed} in force, ${s.generation_wanted} wanted${s.generation_staged ? `, ${s.generation_staged} staged` : ''}`],
      ['Trust root', s.root_version ? `version ${s.root_version}` : '-'], ['Passes since', s.report_age_ms === null ? '-' : `a new order ${s.passes_since_order}, any document ${s.passes_since_document}`],
      ['Agent', agent || '-'], ['Lost', (s.lost || []).length ? el('span', { class: 'bad' }, '! ' + s.lost.join(', ')) : 'nothing'], ['Labels', s.labels || '-']);
  return el('dl', { class: 'vector' }, rows.map(([k, v]) => el('div', {}, el('dt', {}, k), el('dd', {}, v))));
}

const part = (s, name, title) => (s[name] && (!Array.isArray(s[name]) || s[name].length) ? el('details', { key: 'part-' + name }, el('summary', {}, title), tree(s[name])) : null);

// ---- logs: lines and gaps in the order in which they were printed, each with its time by the satellite's clock -----
const LOG_LINES = 500;
const streams = { stdout: 'out', stderr: 'err', note: '---' };

function logLine(l) {
  if (l.stream === 'gap') return el('span', { class: 'bad' }, `! ${size(l.bytes)} missing here, ${l.lines} line${l.lines === 1 ? '' : 's'}: ${l.why}\n`);
  const text = `${utc(l.time_ms)} ${streams[l.stream] || l.stream} ${l.text}${l.more ? ' \\' : ''}\n`;
  return l.stream === 'note' ? el('span', { class: 'quiet' }, text) : text;
}

async function logOf(s, p) {
  const name = `${p.tenant}/${p.name}`;
  const box = (title, ...inside) => el('details', { key: 'log-' + name }, el('summary', {}, `${name}: ${title}`), inside);
  try {
    const log = await api(`/v1/logs/${[s.id, p.tenant, p.name].map(encodeURIComponent).join('/')}?last=${LOG_LINES}`);
    const lines = log.lines.filter((l) => l.stream !== 'gap').length;
    return box(`${lines} line${lines === 1 ? '' : 's'}${log.dropped_lines ? `, ${log.dropped_lines} missing (${size(log.dropped_bytes)})` : ''}`,
      el('pre', { tabindex: '0', 'aria-label': 'log of ' + name }, log.lines.map(logLine)), quiet(`The newest ${LOG_LINES} at most: berth logs ${name}@${s.id} has all, and --request asks for more.`));
  } catch (e) {
    return box(e.code === 'NOT_FOUND' ? 'nothing has come' : '! ' + e.message, quiet(e.fix || ''));
  }
}

const logs = async (s) => ((s.payloads || []).length ? [el('h2', {}, 'Logs'), await Promise.all(s.payloads.map((p) => logOf(s, p)))] : null);

export async function satellite(id) {
  const s = await api('/v1/satellites/' + encodeURIComponent(id));
  const [lines, passes] = await Promise.all([logs(s), staff() ? api(`/v1/satellites/${encodeURIComponent(id)}/passes`).catch(() => ({ passes: [] })) : null]);
  const next = passes ? passes.passes.filter((p) => p.ends_ms > Date.now()).sort((a, b) => a.begins_ms - b.begins_ms).slice(0, 4) : [];
  return ['berth ps ' + id, [
    el('h2', {}, s.id), s.alarm ? el('p', { class: 'bad', role: 'alert' }, '! ' + s.alarm) : null,
    vector(s),
    el('h2', {}, 'Slots'), (s.payloads || []).length ? slots(s) : quiet('Nothing is ordered to run here, and nothing is reported.'),
    passes ? [el('h2', {}, 'Next passes'), next.length ? table(['Begins, UTC', 'Station', '#Worth', 'State'], next.map((p) => [short(p.begins_ms), p.station, size(p.bytes), said(p.state)]), 'next passes') : quiet('None are known.')] : null,
    staff() ? [el('h2', {}, 'Events'), (s.events || []).length ? table(['#Number', 'Code', '#Times', 'What'], [...s.events].reverse().map((e) => [String(e.seq), e.name, String(e.count), e.what]), 'events') : quiet('None were reported.')] : null,
    lines,
    staff() ? [el('h2', {}, 'All that it reports'), s.report_age_ms === null ? quiet('Nothing yet: no report has come.') : null, part(s, 'agent', 'Agent'), part(s, 'link', 'Link'), part(s, 'usage', 'Usage by tenant'), part(s, 'scrub', 'Scrub'), part(s, 'confinement', 'Confinement'), part(s, 'refused_calls', 'Refused system calls')] : null,
  ]];
}

// ---- tenants ---------------------------------------------------------------------------------------------------
const cores = (permille) => (permille / 1000).toFixed(2) + ' cores';
const bounds = [['memory', 'Memory', size], ['cpu', 'CPU', cores], ['store', 'Store', size]];

function quotaRows(t, name) {
  const rows = [];
  for (const [key, title, text] of bounds) {
    if (t.team && t.quota[key] === null) continue; // nothing is said of it: the tenant's counts
    const fullest = t.satellites.reduce((most, s) => (!most || s.used[key] > most.used[key] ? s : most), null);
    rows.push([name, title, gauge(fullest ? fullest.used[key] : 0, t.quota[key], text), fullest ? satelliteLink(fullest.id) : '-', t.from[key] || '-']);
  }
  if (!t.team || t.quota.uplink !== null) rows.push([name, 'Uplink today', [gauge(t.uplink.sent, t.quota.uplink), t.uplink.waiting ? el('div', { class: 'quiet' }, `${size(t.uplink.waiting)} more wait`) : null], `all, ${t.uplink.day}`, t.from.uplink || '-']);
  if (t.quota.logs !== null) {
    const most = t.satellites.reduce((a, s) => (!a || s.used.logs > a.used.logs ? s : a), null);
    rows.push([name, 'Logs, each pass', gauge(most ? most.used.logs : 0, t.quota.logs), most ? satelliteLink(most.id) : '-', t.from.logs || '-']);
  }
  return rows;
}

export async function tenants() {
  const list = await all('/v1/tenants', 'tenants');
  return [list.length === 1 ? 'berth quota ' + list[0].id : 'berth quota', [el('h2', {}, 'Tenants'),
    list.length ? null : quiet('None yet: berth grant TENANT --keys PUB --quota FILE admits one.'),
    list.map((t) => el('section', { 'aria-label': 'tenant ' + t.id }, el('h3', {}, t.id, el('span', { class: 'quiet' }, ` share ${t.share} of a full pass`)),
      table(['Whose', 'What', 'Used', 'Fullest on', 'Limit by'], [...quotaRows(t, t.id), ...t.teams.flatMap((team) => quotaRows(team, `${t.id}/${team.team}`))], 'quotas of ' + t.id),
      t.satellites.length ? el('details', { key: 'where-' + t.id }, el('summary', {}, `Ordered on ${t.satellites.length} satellite${t.satellites.length === 1 ? '' : 's'}`),
        table(['Satellite', 'Payloads', '#Memory', '#CPU', '#Store'], t.satellites.slice(0, LISTED).map((s) => [satelliteLink(s.id), s.payloads.map((p) => `${p.name} ${p.version}`).join(', '), size(s.used.memory), cores(s.used.cpu), size(s.used.store)]), 'where ' + t.id + ' runs'))
        : quiet('No order has it run anything.')))]];
}

// ---- packages --------------------------------------------------------------------------------------------------
const NEWEST = 8; // versions in a matrix

function cell(p, from, to) {
  if (from === to) return el('td', { class: 'quiet', 'aria-label': 'the same' }, '\u2014');
  const d = p.deltas.find((x) => x.from === from.version && x.to === to.version);
  const word = d.state.replace('-', ' ');
  return el('td', {}, d.bytes ? [said(word, size(d.bytes)), el('div', { class: 'quiet' }, `${word}, ${Math.round(100 * d.bytes / d.full_bytes)} % of full`)] : said(word));
}

function matrix(p) {
  const versions = p.versions.slice(-NEWEST);
  if (versions.length < 2) return quiet('One version: there is nothing to make a delta between.');
  return el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'deltas of ' + p.payload }, el('table', { class: 'matrix' },
    el('caption', {}, 'From the version of the row to that of the column', p.versions.length > NEWEST ? `; the newest ${NEWEST} of ${p.versions.length}` : ''),
    el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, 'from \u2193 to \u2192'), versions.map((v) => el('th', { scope: 'col' }, v.version, el('div', {}, 'full ' + size(v.bytes)))))),
    el('tbody', {}, versions.map((from) => el('tr', {}, el('th', { scope: 'row' }, from.version, el('div', {}, `runs on ${from.runs_on.length}`)), versions.map((to) => cell(p, from, to)))))));
}

const some = (ids) => (ids.length ? [ids.slice(0, 12).map((id, i) => [i ? ', ' : '', satelliteLink(id)]), ids.length > 12 ? ` and ${ids.length - 12} more` : ''] : '-');

export async function packages() {
  const list = await all('/v1/packages', 'packages');
  return ['berth packages', [el('h2', {}, 'Packages'),
    list.length ? null : quiet('None yet: berth push FILE.berth brings one.'),
    list.map((p) => el('section', { 'aria-label': 'package ' + p.payload }, el('h3', {}, p.payload),
      table(['Version', '#Release', '#Size', 'Pushed, UTC', 'Digest', 'Ordered on', 'Runs on'], [...p.versions].reverse().map((v) => [v.version, String(v.release), size(v.bytes), short(v.pushed_ms), digest(v.digest), some(v.ordered_on), some(v.runs_on)]), 'versions of ' + p.payload),
      el('h4', {}, 'Deltas'), matrix(p)))]];
}
