// Buttons that act: forms with `data-act` (what to say on success) are sent to the API; `data-confirm` asks first,
// `data-method` is another method than POST, and `data-then` the page to go to when it has succeeded.
import { refreshSoon } from "./regions.js";

const TOAST_MS = 5000;

export function sendActions() {
  document.addEventListener("submit", async (submitted) => {
    const form = submitted.target.closest("form[data-act]");
    if (!form) return;
    submitted.preventDefault();
    if (form.dataset.confirm && !(await confirmed(form.dataset.confirm, form.querySelector("button").textContent))) return;
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      await send(form);
    } finally {
      button.disabled = false;
    }
  });
}

async function send(form) {
  const token = form.elements.csrfmiddlewaretoken.value;
  const method = form.dataset.method ?? "POST";
  const answer = await fetch(form.action, { method, headers: { "X-CSRFToken": token } }).catch(() => null);
  if (answer?.ok && form.dataset.then) return location.assign(form.dataset.then);
  if (answer?.ok) toast(form.dataset.act, "good");
  else toast(answer ? await reason(answer) : "The server does not answer; try again.", "bad");
  refreshSoon();
}

async function reason(answer) {
  const problem = await answer.json().catch(() => ({}));
  return problem.detail ?? `The server refused (${answer.status}).`;
}

function confirmed(text, yes) {
  const dialog = document.getElementById("confirm");
  document.getElementById("confirm-text").textContent = text;
  document.getElementById("confirm-yes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

function toast(text, tone) {
  const element = document.createElement("div");
  element.className = "toast";
  element.dataset.tone = tone;
  element.textContent = text;
  document.getElementById("toasts").append(element);
  setTimeout(() => element.remove(), TOAST_MS);
}
