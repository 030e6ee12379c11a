// Which view of the graph is open, and how it is looked at, kept in the page's address so that it can be sent around.
export class View {
  /** `onShow` holds for each view's name what is to be done when it comes into sight. */
  constructor(onShow) {
    this.onShow = onShow;
    this.words = new URLSearchParams(location.search);
    this.buttons = [...document.querySelectorAll("[data-view]")];
    for (const button of this.buttons) button.addEventListener("click", () => this.show(button.dataset.view));
    this.show(this.words.get("view") ?? "graph");
  }

  get name() {
    return this.shown;
  }

  show(name) {
    this.shown = this.buttons.some(({ dataset }) => dataset.view === name) ? name : "graph";
    for (const button of this.buttons) {
      const here = button.dataset.view === this.shown;
      button.setAttribute("aria-pressed", here);
      document.getElementById(button.getAttribute("aria-controls")).hidden = !here;
    }
    document.getElementById("graph").dataset.shows = this.shown;
    this.keep("view", this.shown === "graph" ? "" : this.shown);
    queueMicrotask(() => this.onShow[this.shown]?.());
  }

  get by() {
    return this.words.get("by");
  }

  set by(value) {
    this.keep("by", value);
  }

  get component() {
    return this.words.get("component");
  }

  set component(id) {
    this.keep("component", id ?? "");
  }

  keep(word, value) {
    if ((this.words.get(word) ?? "") === value) return;
    if (value) this.words.set(word, value);
    else this.words.delete(word);
    const query = this.words.toString();
    history.replaceState(null, "", query ? `?${query}` : location.pathname);
  }
}
