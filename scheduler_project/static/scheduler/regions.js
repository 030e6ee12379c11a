// Live regions: elements with an id and `data-live="worker: task:"` are fetched again, with the page that they are part
// of, when something happens to a subject that starts with one of these words (with none: to anything), and every
// IDLE_MS, since not everything that changes is an event.
import { onEvent } from "./events.js";
import { showTimes } from "./times.js";

const SETTLE_MS = 250;
const APART_MS = 1000;
const IDLE_MS = 10000;
let timer = 0;
let fetchedAt = performance.now();
let busy = false;

export function keepRegionsLive() {
  if (!regions().length) return;
  onEvent((event) => concerns(event.subject) && refreshSoon(), refreshSoon);
  setInterval(() => !document.hidden && performance.now() - fetchedAt >= IDLE_MS && refreshSoon(), 1000);
}

export function refreshSoon() {
  if (timer) return;
  timer = setTimeout(refresh, Math.max(SETTLE_MS, fetchedAt + APART_MS - performance.now()));
}

function regions() {
  return [...document.querySelectorAll("[data-live]")];
}

function concerns(subject) {
  return regions().some(({ dataset }) => !dataset.live || dataset.live.split(" ").some((word) => subject.startsWith(word)));
}

async function refresh() {
  timer = 0;
  if (busy) return refreshSoon();
  busy = true;
  fetchedAt = performance.now();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.redirected || answer.status === 404) return location.reload();
    if (answer.ok) replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    refreshSoon();
  } finally {
    busy = false;
  }
}

function replace(page) {
  for (const region of regions()) {
    const fresh = page.getElementById(region.id);
    if (!fresh || fresh.innerHTML === region.dataset.shown) continue;
    const focus = region.contains(document.activeElement) ? keyOf(document.activeElement) : null;
    region.dataset.shown = fresh.innerHTML;
    region.replaceChildren(...fresh.childNodes);
    if (focus) [...region.querySelectorAll("a, button")].find((one) => keyOf(one) === focus)?.focus();
  }
  showTimes();
}

function keyOf(element) {
  return element.getAttribute("href") ?? element.closest("form")?.getAttribute("action") ?? element.textContent;
}
