// Moments relative to now (`<time data-relative>`) and durations that still count (`data-since`).
export function keepTimes() {
  showTimes();
  setInterval(() => !document.hidden && showTimes(), 1000);
}

export function showTimes(root = document) {
  const now = Date.now();
  for (const time of root.querySelectorAll("time[data-relative]")) set(time, relative((Date.parse(time.dateTime) - now) / 1000));
  for (const span of root.querySelectorAll("[data-since]")) set(span, inWords((now - Date.parse(span.dataset.since)) / 1000));
}

export function inWords(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

function relative(seconds) {
  if (Math.abs(seconds) < 1.5) return "now";
  return seconds > 0 ? `in ${roughly(seconds)}` : `${roughly(-seconds)} ago`;
}

// Of two units the first: a moment some hours ago needs no minutes.
function roughly(seconds) {
  return inWords(seconds).split(" ").slice(0, 2).join(" ");
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
