// Bytes as text in a `<pre>`: UTF-8 where it is that, and signs for what a terminal would obey or what turns text round.
// Invariant: what is kept in the page is bounded; the oldest lines go first.
const KEPT_MAX = 4 * 1024 * 1024;
const BLOCK_MAX = 32 * 1024;
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f]/g;
const TURNING = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const ODD = /[\u0000-\u0006\u000e-\u001a\u001c-\u001f\ufffd]/;
const CARET = 0x40;

export class Shown {
  #pre;
  #decoder = new TextDecoder("utf-8");
  #carried = "";
  #kept = 0;
  odd = false;
  cut = false;

  constructor(pre) {
    this.#pre = pre;
    pre.replaceChildren();
  }

  append(bytes) {
    this.#show(this.#decoder.decode(bytes, { stream: true }));
  }

  /** Shows what was held back in case it was only the first part of a character or of a line end. */
  end() {
    this.#show(this.#decoder.decode(), true);
  }

  #show(decoded, last = false) {
    let text = this.#carried + decoded;
    this.#carried = !last && text.endsWith("\r") ? "\r" : "";
    text = text.slice(0, text.length - this.#carried.length);
    this.odd ||= ODD.test(text);
    for (const block of blocks(safe(text))) this.#add(block);
    while (this.#kept > KEPT_MAX && this.#pre.childElementCount > 1) {
      this.#kept -= this.#pre.firstElementChild.textContent.length;
      this.#pre.firstElementChild.remove();
      this.cut = true;
    }
  }

  // A block ends with a line; a line without end stays in one block, so that no break is shown where there is none.
  #add(text) {
    let block = this.#pre.lastElementChild;
    const full = block && block.firstChild.length >= BLOCK_MAX && block.firstChild.data.endsWith("\n");
    if (!block || full) {
      block = document.createElement("div");
      block.append(document.createTextNode(""));
      this.#pre.append(block);
    }
    block.firstChild.appendData(text);
    this.#kept += text.length;
  }
}

function* blocks(text) {
  let start = 0;
  while (start < text.length) {
    const end = text.indexOf("\n", start + BLOCK_MAX) + 1 || text.length;
    yield text.slice(start, end);
    start = end;
  }
}

// A line that overwrites itself, as progress bars do, is shown as lines.
function safe(text) {
  return text.replaceAll("\r\n", "\n").replaceAll("\r", "\n").replace(CONTROLS, caret).replace(TURNING, "\ufffd");
}

// `^[` for an escape, `^@` for a zero, as pagers write them.
function caret(character) {
  return `^${String.fromCharCode(character.charCodeAt(0) ^ CARET)}`;
}

export function inSizes(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1024 * 1024 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
