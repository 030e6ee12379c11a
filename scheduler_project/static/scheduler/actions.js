// Buttons that act: forms with `data-act` (what to say on success) are sent to the API; `data-confirm` asks first,
// `data-method` is another method than POST, and `data-then` the page to go to when it has succeeded. `data-ask` names a
// text that is asked for, with `data-ask-label`, and sent along; `data-option` a query such as `?tell=true` that a box with
// `data-option-label` adds; `data-preview` shows beforehand what it would do.
import { confirmed } from "./dialog.js";
import { refreshSoon } from "./regions.js";

const TOAST_MS = 5000;

export function sendActions() {
  document.addEventListener("submit", async (submitted) => {
    const form = submitted.target.closest("form[data-act]");
    if (!form) return;
    submitted.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      await act(form, button.textContent);
    } finally {
      button.disabled = false;
    }
  });
}

async function act(form, word) {
  const { confirm, ask, askLabel: label, option, optionLabel, preview } = form.dataset;
  const effects = preview === undefined ? null : await effectsOf(form);
  if (effects === undefined) return;
  const answer = confirm ? await confirmed(confirm, word, { label: ask && label, option: optionLabel, effects }) : { text: "" };
  if (answer !== null) await send(form, answer.option ? option : "", ask && { [ask]: answer.text });
}

// What the call would do, a line each; undefined where it is refused, which has been told then.
async function effectsOf(form) {
  const answer = await call(form, "?preview=true");
  const told = answer?.ok ? await answer.json() : { refused: await reason(answer) };
  if (!told.refused) return told.resets.map(({ component_id: id, before, state, reason: why }) => `${id}: ${before} → ${state} (${why})`);
  toast(told.refused, "bad");
}

async function send(form, query, body) {
  const answer = await call(form, query, body);
  if (answer?.ok && form.dataset.then) return location.assign(form.dataset.then);
  if (answer?.ok) toast(form.dataset.act, "good");
  else toast(await reason(answer), "bad");
  form.dispatchEvent(new CustomEvent("acted", { bubbles: true }));
  refreshSoon();
}

function call(form, query, body) {
  const headers = { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
  if (body) headers["Content-Type"] = "application/json";
  const request = { method: form.dataset.method ?? "POST", headers, body: body && JSON.stringify(body) };
  return fetch(form.action + query, request).catch(() => null);
}

async function reason(answer) {
  if (!answer) return "The server does not answer; try again.";
  const problem = await answer.json().catch(() => ({}));
  return problem.detail ?? `The server refused (${answer.status}).`;
}

function toast(text, tone) {
  const element = document.createElement("div");
  element.className = "toast";
  element.dataset.tone = tone;
  element.textContent = text;
  document.getElementById("toasts").append(element);
  setTimeout(() => element.remove(), TOAST_MS);
}
