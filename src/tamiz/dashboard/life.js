// The life of one question: what it was, each call and answer, and how it ended. Asks again while it is open.

import { $, SOURCES, call, clock, duration, el, plural, score, text, themes } from './common.js';

const AGAIN = 2000;
const STATE = { accepted: 'good', exhausted: 'warn', failed: 'bad' };
const id = decodeURIComponent(location.pathname.slice('/life/'.length));

const pairs = (list, entries) => list.replaceChildren(...entries.filter(([, value]) => value != null && value !== '').map(
  ([name, ...value]) => el('div', {}, el('dt', {}, name), el('dd', {}, ...value))));

const toLife = (other) => el('a', { href: `/life/${encodeURIComponent(other)}` }, other);

function hop(state, title, at, since, facts, answer, reasons = []) {
  const made = el('li', {},
    el('div', { class: 'head' }, el('h3', {}, title), el('span', { class: 'muted' }, at == null ? '' : at === since ? clock(at) : `${clock(at)}, ${duration((at - since) * 1000)} after it was asked`)),
    el('p', {}, ...facts.filter(Boolean).flatMap((fact, n) => (n ? [' · ', fact] : [fact]))),
    reasons.length ? el('ul', { class: 'reasons' }, ...reasons.map((reason) => el('li', {}, reason))) : null,
    answer == null ? null : el('p', { class: 'text quote' }, answer));
  made.dataset.state = state;
  return made;
}

function tried(each, since) {
  const refused = each.result === 'refused';
  return hop(refused ? 'warn' : 'bad',
    refused ? `Answer ${each.attempt} fell short` : `Call for answer ${each.attempt} failed: ${each.result}`,
    each.at, since,
    [
      refused ? `score ${score(each.score)}` : null,
      each.retry ? `after ${plural(each.retry, 'failed call')}` : null,
      each.reason, each.model, each.latency_ms == null ? null : `took ${duration(each.latency_ms)}`,
    ],
    each.answer, each.reasons);
}

function ended(outcome, since) {
  const titles = { accepted: 'Accepted', exhausted: 'Exhausted: the best answer is kept, not accepted', failed: `Failed: ${outcome.kind ?? ''}` };
  return hop(STATE[outcome.outcome], titles[outcome.outcome], outcome.finished_at, since,
    [
      outcome.score == null ? null : `score ${score(outcome.score)}`,
      outcome.reason,
      outcome.source ? `from ${SOURCES[outcome.source] ?? outcome.source}` : null,
      outcome.attempt && outcome.source === 'model' ? `answer ${outcome.attempt} of ${outcome.attempts}` : null,
      outcome.retries ? plural(outcome.retries, 'failed call') : null,
      outcome.model,
      outcome.latency_ms == null || outcome.source !== 'model' ? null : `took ${duration(outcome.latency_ms)}`,
      outcome.leader && outcome.leader !== id ? el('span', {}, 'shared from ', toLife(outcome.leader)) : null,
    ],
    null, outcome.reasons);
}

function open(place, since) {
  if (!place) return hop('wait', 'Under way', null, since, [], null);
  const wanted = place.attempt == null ? null : `answer ${place.attempt} is wanted` + (place.retry ? `, after ${plural(place.retry, 'failed call')}` : '');
  switch (place.kind) {
    case 'deferred': return hop('wait', `Waits until ${clock(place.due)}`, null, since, [wanted]);
    case 'parked': return hop('wait', 'Waits for an identical question', null, since, [place.leader ? toLife(place.leader) : null]);
    default: return hop('wait', 'Under way', null, since, [place.topic ? `in ${place.topic}` : null, wanted]);
  }
}

function show(told) {
  const { life } = told;
  const outcome = life.outcome;
  $('life').hidden = false;
  const words = outcome ? outcome.outcome : 'open';
  text($('status'), words);
  $('status').dataset.state = outcome ? STATE[outcome.outcome] : 'wait';
  document.title = `${life.question.slice(0, 60)} · tamiz`;
  text($('question'), life.question || '(empty)');
  text($('content'), life.content);
  $('content').hidden = !life.content;
  pairs($('about'), [
    ['message id', life.message_id], ["data set's id", life.id], ['tenant', life.tenant],
    ['asked', clock(life.created_at)], ['cache key', life.cache_key],
  ]);
  text($('reference'), (Array.isArray(life.reference) ? life.reference.join(' | ') : life.reference) ?? 'None was given, so nothing could be scored against it.');
  $('reference').classList.toggle('muted', life.reference == null);
  $('kept').dataset.state = outcome ? STATE[outcome.outcome] : '';
  text($('answer'), outcome?.answer ?? (outcome ? 'There is none.' : 'Not yet.'));
  $('answer').classList.toggle('muted', outcome?.answer == null);
  $('hops').replaceChildren(
    hop('', 'Asked', life.created_at, life.created_at, []),
    ...life.tried.map((each) => tried(each, life.created_at)),
    outcome ? ended(outcome, life.created_at) : open(life.place, life.created_at));
}

let last = '';
async function look() {
  try {
    const told = await call(`/questions/${encodeURIComponent(id)}`);
    const now = JSON.stringify(told);
    if (now !== last) show(told);
    last = now;
    if (told.life.outcome) return;
  } catch (error) {
    $('status').dataset.state = 'bad';
    text($('status'), error.status === 401 ? 'sign in on the live page first' : error.message);
    if (error.status >= 400 && error.status < 500) return;
  }
  setTimeout(look, AGAIN);
}

themes();
look();
