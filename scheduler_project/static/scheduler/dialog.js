// The page's one dialog, which asks before something is done.

/** What the user answers: a text, "" where none is asked for, and whether the option is wanted; null where nothing is to
 *  be done. `effects` are told first. */
export function confirmed(text, yes, { label = "", option = "", effects = null } = {}) {
  const dialog = document.getElementById("confirm");
  document.getElementById("confirm-text").textContent = text;
  document.getElementById("confirm-yes").textContent = yes;
  showEffects(document.getElementById("confirm-effects"), effects);
  const asked = document.getElementById("confirm-ask");
  const field = asked.querySelector("input");
  asked.hidden = !label;
  asked.querySelector("span").textContent = label;
  field.value = "";
  const offered = document.getElementById("confirm-option");
  const box = offered.querySelector("input");
  offered.hidden = !option;
  box.nextElementSibling.textContent = option;
  box.checked = false;
  dialog.returnValue = "no";
  dialog.showModal();
  if (label) field.focus();
  return new Promise((resolve) => {
    const close = () => resolve(dialog.returnValue === "yes" ? { text: field.value.trim(), option: box.checked } : null);
    dialog.addEventListener("close", close, { once: true });
  });
}

function showEffects(list, effects) {
  list.hidden = !effects;
  const lines = effects?.length ? effects : ["nothing"];
  list.replaceChildren(...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
}
