// The page's one stream of events. It is closed while the page is hidden, since a browser opens only a few
// connections to one host, and goes on from the last event seen when the page is shown again.
const RETRY_MS = 3000;
const { eventsAfter, eventsSubject } = document.body.dataset;
const listeners = new Set();
let lastId = eventsAfter;
let source = null;
let retry = 0;

/** Calls `listener(event)` for every event; `reconnected()`, where given, whenever the stream is open again. */
export function onEvent(listener, reconnected = () => {}) {
  listeners.add({ listener, reconnected });
}

export function followEvents() {
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));
  window.addEventListener("pagehide", stop);
  window.addEventListener("pageshow", start);
  start();
}

function start() {
  if (source || document.hidden) return;
  clearTimeout(retry);
  source = new EventSource(`/api/v1/events?${new URLSearchParams({ after: lastId, subject: eventsSubject })}`);
  source.onopen = () => {
    show("live");
    listeners.forEach(({ reconnected }) => reconnected());
  };
  source.onmessage = (message) => {
    lastId = message.lastEventId;
    const event = JSON.parse(message.data);
    listeners.forEach(({ listener }) => listener(event));
  };
  source.onerror = () => {
    show("reconnecting");
    if (source?.readyState === EventSource.CLOSED) startAgainLater();
  };
}

function stop() {
  clearTimeout(retry);
  source?.close();
  source = null;
}

// A stream that was refused is not tried again by the browser: the server is starting, or the login has ended.
function startAgainLater() {
  stop();
  retry = setTimeout(async () => {
    const answer = await fetch("/api/v1/whoami").catch(() => null);
    if (answer?.status === 401) location.reload();
    else start();
  }, RETRY_MS);
}

function show(state) {
  const sign = document.getElementById("live");
  if (!sign || sign.dataset.liveState === state) return;
  sign.dataset.liveState = state;
  sign.textContent = state;
}
