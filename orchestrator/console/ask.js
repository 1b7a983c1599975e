// SPDX-License-Identifier: Apache-2.0
// A change is confirmed by typing the rollout's number, or the satellite's name, and its reason goes into the audit log.
import { api } from './data.js';

const $ = (id) => document.getElementById(id);
// What of a person's words the API takes with each verb, and whether it needs them.
const bodies = { pause: ['reason', false], abort: ['reason', false], approve: ['why', false], deny: ['why', true], force: ['why', true] };
let after = () => {};

export function onChange(fn) {
  after = fn;
}

async function change(verb, id, words, on) {
  const [name] = bodies[verb] || [];
  try {
    await api(`/v1/rollouts/${id}/${verb}${on ? '?on=' + encodeURIComponent(on) : ''}`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: name && words ? JSON.stringify({ [name]: words }) : undefined });
    $('told').textContent = `\u2713 ${verb} of rollout ${id} is done`;
    await after();
  } catch (e) {
    $('told').textContent = '! ' + e.message + (e.fix ? '. ' + e.fix : '');
  }
}

export function ask(verb, rollout, on) {
  const dialog = $('ask');
  const [name, needed] = bodies[verb] || [];
  const ready = () => $('ask-word').value === (on || String(rollout.id)) && (!needed || $('ask-reason').value.trim() !== '');
  $('ask-title').textContent = on ? `${verb}: rollout ${rollout.id} without ${on}?` : `${verb} rollout ${rollout.id}?`;
  $('ask-what').textContent = `${rollout.payload} ${rollout.from || '(new)'} \u2192 ${rollout.to || '(stop)'}. On the command line: berth rollout ${verb} ${rollout.id}${on ? ` --on ${on} --why ...` : ''}`;
  $('ask-typed').textContent = on ? 'To confirm, type the name of the satellite' : "To confirm, type the rollout's number";
  $('ask-reason').value = $('ask-word').value = '';
  $('ask-reason').hidden = $('ask-label').hidden = !name;
  $('ask-label').textContent = `Why (kept in the audit log${needed ? ', needed' : ''})`;
  $('ask-yes').disabled = true;
  $('ask-word').oninput = $('ask-reason').oninput = () => { $('ask-yes').disabled = !ready(); };
  dialog.onclose = () => {
    if (dialog.returnValue === 'yes' && ready()) return change(verb, rollout.id, $('ask-reason').value.trim(), on);
    return undefined;
  };
  dialog.returnValue = 'no';
  dialog.showModal();
  $(name ? 'ask-reason' : 'ask-word').focus();
}
