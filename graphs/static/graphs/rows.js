// Rows of which only those in sight are in the document, so that thousands cost no more than a screenful.
// `make(item)` gives a new row's element, `fill(element, item, index)` brings one up to date.
const SPARE = 6;

export class Rows {
  constructor(frame, { height, make, fill }) {
    this.frame = frame;
    this.height = height;
    this.make = make;
    this.fill = fill;
    this.items = [];
    this.shown = new Map();
    this.wanted = 0;
    this.room = document.createElement("div");
    this.room.className = "rows-room";
    this.room.setAttribute("role", "rowgroup");
    frame.append(this.room);
    frame.addEventListener("scroll", () => this.soon(), { passive: true });
    frame.addEventListener("keydown", (key) => this.onKey(key));
    new ResizeObserver(() => this.soon()).observe(frame);
  }

  /** Shows these items, in this order. */
  show(items) {
    this.items = items;
    this.room.style.height = `${items.length * this.height}px`;
    this.frame.setAttribute("aria-rowcount", items.length + 1);
    this.soon();
  }

  /** Brings what is in sight up to date with the next frame. */
  soon() {
    this.wanted ||= requestAnimationFrame(() => {
      this.wanted = 0;
      this.paint();
    });
  }

  paint() {
    if (!this.frame.clientHeight) return;
    const above = this.frame.scrollTop - this.room.offsetTop;
    const first = Math.max(0, Math.floor(above / this.height) - SPARE);
    const last = Math.min(this.items.length, Math.ceil((above + this.frame.clientHeight) / this.height) + SPARE);
    for (const [index, row] of this.shown) {
      if (index >= first && index < last) continue;
      row.remove();
      this.shown.delete(index);
    }
    for (let index = first; index < last; index += 1) this.place(index);
  }

  place(index) {
    let row = this.shown.get(index);
    if (!row) {
      row = this.make();
      row.setAttribute("role", "row");
      row.style.transform = `translateY(${index * this.height}px)`;
      row.setAttribute("aria-rowindex", index + 2);
      this.shown.set(index, row);
      this.room.append(row);
    }
    this.fill(row, this.items[index], index);
  }

  /** Scrolls to the item at an index and puts the focus into its row. */
  focus(index) {
    const top = this.room.offsetTop + index * this.height;
    const { scrollTop, clientHeight } = this.frame;
    if (top < scrollTop + this.height) this.frame.scrollTop = top - this.height;
    else if (top + 2 * this.height > scrollTop + clientHeight) this.frame.scrollTop = top + 2 * this.height - clientHeight;
    this.paint();
    this.shown.get(index)?.querySelector("button")?.focus({ preventScroll: true });
  }

  onKey(key) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20 }[key.key];
    if (!step || !this.items.length) return;
    key.preventDefault();
    const row = document.activeElement.closest?.("[aria-rowindex]");
    const from = row && this.room.contains(row) ? Number(row.getAttribute("aria-rowindex")) - 2 : -1;
    this.focus(Math.max(0, Math.min(this.items.length - 1, from + step)));
  }
}
