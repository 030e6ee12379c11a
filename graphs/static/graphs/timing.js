// What the Gantt drawing needs of times. Pure: components as the API tells them in, percentages and words out.
const STEPS_S = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400];
const TICKS = 7;

/** From when to when there is something to draw. */
export function extent(components, started, until) {
  const starts = components.flatMap(({ attempts }) => attempts.slice(0, 1).map((one) => Date.parse(one.started_at) || until));
  const from = starts.reduce((least, one) => Math.min(least, one), started || until);
  return { from, until: Math.max(until, from + 10) };
}

/** In the order in which they started, then in which they could, then as in the mapping. */
export function inOrder(components) {
  const first = (one) => Date.parse(one.attempts[0]?.started_at ?? "") || Infinity;
  const ready = (one) => Date.parse(one.ready_at ?? "") || Infinity;
  return components
    .map((one, index) => ({ one, keys: [first(one), ready(one), index] }))
    .sort(({ keys: a }, { keys: b }) => compare(a, b))
    .map(({ one }) => one);
}

/** The bars of a component: where its parts begin and how wide they are, in percent of the extent. */
export function bars({ state, ready_at: ready, attempts }, { from, until }) {
  const place = (start, end) => ({ from: (100 * (start - from)) / (until - from), width: Math.max(0.15, (100 * (end - start)) / (until - from)) });
  const found = [];
  let before = Date.parse(ready ?? "");
  for (const one of attempts) {
    const start = Date.parse(one.started_at ?? one.sent_at ?? one.ended_at);
    const end = Date.parse(one.ended_at) || until;
    const sent = Math.min(Date.parse(one.sent_at) || (one.ended_at ? start : until), end);
    if (start > Math.max(before, from)) found.push({ part: "wait", state: "waiting", ...place(Math.max(before, from), start) });
    if (sent - start > 0) found.push({ part: "send", state: "waiting", ...place(start, sent) });
    if (end > sent || one.ended_at) found.push({ part: "run", state: one.outcome, ...place(sent, end) });
    before = end;
  }
  if (state === "waiting" && before < until) found.push({ part: "wait", state, ...place(Math.max(before, from), until) });
  return found;
}

/** Marks of the axis at round distances. */
export function ticks({ from, until }) {
  const whole = (until - from) / 1000;
  const step = STEPS_S.find((one) => whole / one <= TICKS) ?? Math.ceil(whole / TICKS / 86400) * 86400;
  const found = [];
  for (let at = 0; at < whole * 0.97; at += step) found.push({ at: (100 * at) / whole, words: length(at, step) });
  return found;
}

/** What the bars of a component show, in words. */
export function spoken({ state, ready_at: ready, attempts }, critical) {
  if (!attempts.length) return `${state}, not started`;
  const { started_at: start, sent_at: sent, ended_at: end } = attempts.at(-1);
  const parts = [state];
  if (ready && Date.parse(attempts[0].started_at) > Date.parse(ready)) parts.push(`waited ${between(ready, attempts[0].started_at)}`);
  if (sent) parts.push(`sent in ${between(start, sent)}`);
  if (end) parts.push(`ran ${between(sent ?? start, end)}`);
  if (attempts.length > 1) parts.push(`${attempts.length} attempts`);
  if (critical) parts.push("on the critical path");
  return parts.join(", ");
}

function between(start, end) {
  return length(Math.max(0, Date.parse(end) - Date.parse(start)) / 1000, 0.01);
}

function length(seconds, step) {
  if (seconds >= 3600) return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
  if (seconds >= 60) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${seconds.toFixed(step < 0.1 ? 2 : step < 1 ? 1 : 0)} s`;
}

function compare(a, b) {
  const place = a.findIndex((value, index) => value !== b[index]);
  return place < 0 ? 0 : a[place] < b[place] ? -1 : 1;
}
