// SPDX-License-Identifier: Apache-2.0
// Everything that is shown comes from the API (docs/wire/openapi.json), with the token that the person gave; it stays in this tab.

export const state = { token: sessionStorage.getItem('token') || '', me: null, at: 0, last: '', stop: null, served: null };

export async function api(path, options = {}) {
  const answer = await fetch(path, { ...options, cache: 'no-store', headers: { Authorization: 'Bearer ' + state.token, ...(options.headers || {}) } });
  const value = await answer.json();
  if (!answer.ok) {
    const e = value.error || { what: answer.statusText, code_name: String(answer.status), why: '', fix: '' };
    throw Object.assign(new Error(`${e.what ? e.what + ': ' : ''}${e.why} (${e.code_name})`), { status: answer.status, code: e.code_name, fix: e.fix });
  }
  return value;
}

// All pages of a list.
export async function all(path, name) {
  const items = [];
  for (let next = null; ;) {
    const page = await api(path + (path.includes('?') ? '&' : '?') + 'limit=1000' + (next ? '&cursor=' + encodeURIComponent(next) : ''));
    items.push(...page[name]);
    if (!page.next) return items;
    next = page.next;
  }
}

// Whether this server has a path, by its own description.
export async function serves(path) {
  if (!state.served) state.served = (await api('/v1/openapi.json')).paths;
  return Object.hasOwn(state.served, path);
}

export const staff = () => state.me && state.me.role !== 'tenant';
