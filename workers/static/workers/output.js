// The output of one command, followed while it runs. Bytes are fetched by offset when an event tells of the command and
// else ever more seldom while nothing comes; a new attempt begins anew. Invariant: each byte is shown once, in its place,
// as text and never as anything that a browser interprets.
import { onEvent } from "../scheduler/events.js";
import { Shown, inSizes } from "./shown.js";

const FIRST_PAUSE_MS = 400;
const LONGEST_PAUSE_MS = 3000;
const frame = document.getElementById("output");
const follow = document.getElementById("follow");
const panes = [...frame.querySelectorAll("[role=tabpanel]")].map((panel) => new Pane(panel));
let pauseMs = FIRST_PAUSE_MS;
let timer = 0;
let fetching = false;

function Pane(panel) {
  const { stream } = panel.dataset;
  const tab = document.getElementById(`tab-${stream}`);
  let shown = new Shown(panel.querySelector("pre"));
  let attempt = "";
  this.offset = 0;
  this.ended = false;
  this.chosen = () => !panel.hidden;

  /** Fetches what is new; whether there was any. */
  this.fetch = async () => {
    let found = false;
    for (;;) {
      const query = new URLSearchParams({ stream, offset: this.offset });
      if (frame.dataset.attempt) query.set("attempt", frame.dataset.attempt);
      const answer = await fetch(`${frame.dataset.output}?${query}`);
      if (!answer.ok) throw new Error(`the output cannot be read (${answer.status})`);
      if (answer.headers.get("X-Attempt") !== attempt) {
        attempt = answer.headers.get("X-Attempt");
        const begun = this.offset > 0;
        shown = new Shown(panel.querySelector("pre"));
        this.offset = 0;
        if (begun) continue;
      }
      const bytes = new Uint8Array(await answer.arrayBuffer());
      if (!bytes.length) {
        this.ended = answer.headers.get("X-Ended") === "true";
        if (this.ended) shown.end();
        this.tell();
        return found;
      }
      found = true;
      shown.append(bytes);
      this.offset = Number(answer.headers.get("X-Next-Offset"));
      this.tell();
    }
  };

  this.tell = () => {
    tab.querySelector(".count").textContent = inSizes(this.offset);
    panel.querySelector(".empty").textContent = this.ended ? "Nothing was written." : "Nothing has been written yet.";
    panel.querySelector(".empty").hidden = this.offset > 0;
    panel.querySelector("pre").hidden = this.offset === 0;
    panel.querySelector(".not-text").hidden = !shown.odd;
    panel.querySelector(".cut").hidden = !shown.cut;
    if (follow.checked && this.chosen()) panel.querySelector("pre").scrollTop = Number.MAX_SAFE_INTEGER;
  };

  this.choose = (chosen) => {
    panel.hidden = !chosen;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    this.tell();
  };

  tab.addEventListener("click", () => choose(this));
  tab.addEventListener("keydown", ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step) return;
    const next = panes[(panes.indexOf(this) + step + panes.length) % panes.length];
    choose(next);
    next.focus();
  });
  this.focus = () => tab.focus();
  panel.querySelector("pre").addEventListener("wheel", ({ deltaY }) => deltaY < 0 && (follow.checked = false), { passive: true });
}

function choose(pane) {
  panes.forEach((one) => one.choose(one === pane));
}

async function fetchAll() {
  clearTimeout(timer);
  if (fetching || document.hidden) return;
  fetching = true;
  let found = false;
  try {
    for (const pane of panes.filter((one) => !one.ended)) found = (await pane.fetch()) || found;
    if (panes.some((one) => one.chosen() && !one.offset && panes.some((other) => other.offset))) chooseWritten();
    frame.querySelector(".problem").hidden = true;
  } catch (error) {
    frame.querySelector(".problem").textContent = `${error.message}; trying again.`;
    frame.querySelector(".problem").hidden = false;
  } finally {
    fetching = false;
    pauseMs = found ? FIRST_PAUSE_MS : Math.min(pauseMs * 1.4, LONGEST_PAUSE_MS);
    if (panes.some((one) => !one.ended)) timer = setTimeout(fetchAll, pauseMs);
    else frame.dataset.ended = "";
  }
}

// Whoever opens the page of a command that only wrote to stderr wants to see that; afterwards the choice is theirs.
let mayChoose = true;
function chooseWritten() {
  if (mayChoose) choose(panes.find((one) => one.offset));
  mayChoose = false;
}

function soon() {
  pauseMs = FIRST_PAUSE_MS;
  fetchAll();
}

frame.querySelector("[role=tablist]").addEventListener("click", () => (mayChoose = false));
follow.addEventListener("change", () => panes.forEach((one) => one.tell()));
document.addEventListener("visibilitychange", soon);
onEvent(soon, soon);
soon();
