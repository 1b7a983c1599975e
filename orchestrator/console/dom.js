// SPDX-License-Identifier: Apache-2.0
// Elements, signs and numbers.  Text goes into the page as text, never as markup: nothing here takes any.

const NS = 'http://www.w3.org/2000/svg';

// An element.  `on` is what a click does, `key` what it is called across a redraw, for the focus and for what is open.
export function el(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {}))
    if (key === 'on') node.addEventListener('click', value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key === 'key' ? 'data-key' : key, value === true ? '' : value);
  for (const child of children.flat(Infinity)) if (child !== null && child !== undefined) node.append(child);
  return node;
}

export function svg(name, attributes, ...children) {
  const node = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes || {})) if (value !== null && value !== undefined) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// Columns whose heading begins with '#' are numbers.
export function table(headings, rows, caption) {
  const number = headings.map((h) => typeof h === 'string' && h.startsWith('#'));
  return el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption }, el('table', {},
    el('thead', {}, el('tr', {}, headings.map((h, i) => el('th', { scope: 'col', class: number[i] ? 'number' : null }, number[i] ? h.slice(1) : h)))),
    el('tbody', {}, rows.map((row) => el('tr', {}, row.map((cell, i) => el('td', { class: number[i] ? 'number' : null }, cell)))))));
}

// A word with a sign before it: nothing is told by colour alone.
const marks = {
  good: ['\u2713', 'good'], synced: ['\u2713', 'good'], committed: ['\u2713', 'good'], completed: ['\u2713', 'good'], done: ['\u2713', 'good'], ready: ['\u2713', 'good'],
  pending: ['\u2026', 'busy'], running: ['\u2026', 'busy'], active: ['\u2026', 'busy'], trial: ['\u2026', 'busy'], installed: ['\u2026', 'busy'],
  receiving: ['\u2193', 'busy'], staged: ['\u2026', 'busy'], verified: ['\u2026', 'busy'], predicted: ['\u2026', 'busy'], 'awaiting-approval': ['?', 'busy'],
  reserved: ['\u2713', 'good'], executing: ['\u2713', 'good'], past: ['\u00b7', 'quiet'], silent: ['~', 'quiet'], unknown: ['?', 'quiet'], waiting: ['\u00b7', 'quiet'],
  aborted: ['\u2014', 'quiet'], absent: ['\u00b7', 'quiet'], 'not made': ['\u00b7', 'quiet'], dropped: ['\u00b7', 'quiet'], 'no gain': ['=', 'quiet'],
  paused: ['!', 'bad'], failed: ['\u2717', 'bad'], refused: ['\u2717', 'bad'], over: ['!', 'bad'], 'rolled-back': ['\u21a9', 'bad'], alarm: ['!', 'bad'],
};
export const mark = (word) => marks[word] || ['\u00b7', 'quiet'];
export const said = (word, text = word) => el('span', { class: mark(word)[1] }, mark(word)[0] + ' ' + text);
export const quiet = (text) => el('p', { class: 'quiet' }, text);

export function ago(ms) {
  if (ms === null || ms === undefined) return 'never';
  const s = Math.max(0, Math.floor(ms / 1000));
  return s < 120 ? s + ' s ago' : s < 7200 ? Math.floor(s / 60) + ' min ago' : s < 172800 ? Math.floor(s / 3600) + ' h ago' : Math.floor(s / 86400) + ' d ago';
}

export function size(n) {
  if (n === null || n === undefined || Number.isNaN(n)) return '-';
  for (const unit of ['B', 'KiB', 'MiB']) {
    if (n < 1024) return (unit === 'B' ? n : n.toFixed(1)) + ' ' + unit;
    n /= 1024;
  }
  return n.toFixed(1) + ' GiB';
}

export const utc = (ms) => new Date(ms).toISOString().slice(0, 19).replace('T', ' ');
export const short = (ms) => utc(ms).slice(5, 16);

export const satelliteLink = (id) => el('a', { href: '#satellite/' + encodeURIComponent(id) }, id);

// How much of how much, as a bar that says it in words, too.
export function gauge(used, most, text = size) {
  if (most === null || most === undefined) return el('span', {}, text(used), el('span', { class: 'quiet' }, ' of no limit'));
  const part = most > 0 ? used / most : 1;
  const kind = part > 1 ? 'bad' : part > 0.8 ? 'busy' : 'good';
  const words = `${text(used)} of ${text(most)}`;
  return el('span', { class: 'gauge' },
    svg('svg', { class: 'meter', viewBox: '0 0 100 10', preserveAspectRatio: 'none', role: 'img', 'aria-label': words },
      svg('rect', { x: 0, y: 0, width: Math.min(100, 100 * part), height: 10, class: kind, fill: 'currentColor' })),
    el('span', { class: part > 1 ? 'bad' : null }, `${part > 1 ? '! over: ' : ''}${words}`), el('span', { class: 'quiet' }, ` ${Math.round(100 * part)} %`));
}

// Parts of a whole beside each other; parts are [word, n, text].
export function stack(parts, label) {
  const shown = parts.filter(([, n]) => n > 0);
  const total = shown.reduce((sum, [, n]) => sum + n, 0) || 1;
  const bar = svg('svg', { class: 'bar', viewBox: `0 0 ${total} 1`, preserveAspectRatio: 'none', role: 'img', 'aria-label': `${label}: ${shown.map(([word, n]) => `${n} ${word}`).join(', ')}` });
  let x = 0;
  for (const [word, n] of shown) {
    bar.append(svg('rect', { x, y: 0, width: n, height: 1, class: mark(word)[1], fill: 'currentColor', 'fill-opacity': word === 'waiting' ? 0.18 : 0.8 }));
    x += n;
  }
  return el('div', { class: 'stack' }, bar, el('ul', { class: 'legend' }, shown.map(([word, n]) => el('li', {}, said(word, `${n} ${word}`)))));
}

// Anything, as a list of what it consists of.
export function tree(value) {
  if (Array.isArray(value)) return value.length ? el('ul', {}, value.map((v) => el('li', {}, tree(v)))) : 'none';
  if (value && typeof value === 'object') return el('ul', {}, Object.entries(value).map(([k, v]) => el('li', {}, k.replaceAll('_', ' ') + ': ', tree(v))));
  return value === null ? '-' : String(value);
}
