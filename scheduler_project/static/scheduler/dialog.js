// The page's one dialog, which asks before something is done.

/** What the user answers, "" where no text is asked for; null where nothing is to be done. `effects` are told first. */
export function confirmed(text, yes, { label = "", effects = null } = {}) {
  const dialog = document.getElementById("confirm");
  document.getElementById("confirm-text").textContent = text;
  document.getElementById("confirm-yes").textContent = yes;
  showEffects(document.getElementById("confirm-effects"), effects);
  const asked = document.getElementById("confirm-ask");
  const field = asked.querySelector("input");
  asked.hidden = !label;
  asked.querySelector("span").textContent = label;
  field.value = "";
  dialog.returnValue = "no";
  dialog.showModal();
  if (label) field.focus();
  return new Promise((resolve) => {
    const close = () => resolve(dialog.returnValue === "yes" ? field.value.trim() : null);
    dialog.addEventListener("close", close, { once: true });
  });
}

function showEffects(list, effects) {
  list.hidden = !effects;
  const lines = effects?.length ? effects : ["nothing"];
  list.replaceChildren(...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
}
