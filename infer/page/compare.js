// Two pictures on top of each other with a line to drag between them: by mouse, touch and keyboard.

export class Compare {
  #box;
  #handle;
  #share = 0.5;

  /** @param box the element with both canvases and the handle @param frame the element that it has to fit into */
  constructor(box, frame) {
    this.#box = box;
    this.#handle = box.querySelector("[role=slider]");
    this.before = box.querySelector(".before");
    this.after = box.querySelector(".after");
    new ResizeObserver(() => this.fit()).observe(frame);
    this.frame = frame;
    box.addEventListener("pointerdown", (event) => this.#drag(event));
    this.#handle.addEventListener("keydown", (event) => this.#key(event));
    this.move(0.5);
  }

  /** Where the line is, 0 (all of the result) to 1 (all of the picture). */
  move(share) {
    this.#share = Math.min(1, Math.max(0, share));
    this.#box.style.setProperty("--line", `${100 * this.#share}%`);
    const percent = Math.round(100 * this.#share);
    this.#handle.setAttribute("aria-valuenow", percent);
    this.#handle.setAttribute("aria-valuetext", `${percent} % before, ${100 - percent} % after`);
  }

  /** Shows a picture (anything that can be drawn) before and, until there is more, after. */
  show(picture, width, height) {
    for (const canvas of [this.before, this.after]) {
      canvas.width = width;
      canvas.height = height;
      canvas.getContext("2d").drawImage(picture, 0, 0);
    }
    this.fit();
  }

  /** Rows of RGBA pixels of the result. */
  put(first, end, pixels) {
    const data = new ImageData(new Uint8ClampedArray(pixels.buffer), this.after.width, end - first);
    this.after.getContext("2d").putImageData(data, 0, first);
  }

  /** As large as the frame allows, small pictures at most at twice their size. */
  fit() {
    const {width, height} = this.after, {clientWidth, clientHeight} = this.frame;
    const scale = Math.min(2, clientWidth / width, clientHeight / height);
    this.#box.style.setProperty("width", `${Math.round(width * scale)}px`);
    this.#box.style.setProperty("height", `${Math.round(height * scale)}px`);
  }

  #drag(event) {
    if (event.button !== 0) return;
    const follow = ({clientX}) => {
      const {left, width} = this.#box.getBoundingClientRect();
      this.move((clientX - left) / width);
    };
    follow(event);
    this.#handle.focus({preventScroll: true});
    this.#box.setPointerCapture(event.pointerId);
    const end = new AbortController();
    this.#box.addEventListener("pointermove", follow, {signal: end.signal});
    for (const name of ["pointerup", "pointercancel"]) {
      this.#box.addEventListener(name, () => end.abort(), {signal: end.signal});
    }
    event.preventDefault();
  }

  #key(event) {
    const step = event.shiftKey ? 0.1 : 0.02;
    const to = {
      ArrowLeft: this.#share - step, ArrowDown: this.#share - step,
      ArrowRight: this.#share + step, ArrowUp: this.#share + step,
      PageDown: this.#share - 0.2, PageUp: this.#share + 0.2,
      Home: 0, End: 1,
    }[event.key];
    if (to === undefined) return;
    this.move(to);
    event.preventDefault();
  }
}
