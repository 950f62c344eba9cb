// What the demos draw with: a plane whose points can be moved by pointer and keys, and a chart.
// Both are SVG, so that they follow the theme by its style sheet.
"use strict";

(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const SIZE = 340, HIGH = 279; // width of a panel, height of a chart: units, about pixels
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

  /** An element; `svg` ones begin with "svg:". */
  function make(tag, attributes = {}, ...children) {
    const node = tag.startsWith("svg:") ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  /** A part of the plane: samples, cells, marks, and points that pointer and arrow keys move. */
  class Plane {
    /** handlers: move(i, [dx, dy]); describe(i) = {now, text}; done() after a move; paint(place), and painting(). */
    constructor(parent, label, box, handlers = {}) {
      [this.box, this.handlers, this.chosen] = [box, handlers, 0];
      this.unit = SIZE / (box[1] - box[0]);
      this.step = (box[1] - box[0]) / 60;
      const layers = ["cells", "samples", "lines", "marks", "points"];
      this.layers = layers.map((name) => make("svg:g", { class: `demo-${name}` }));
      const viewBox = `0 0 ${SIZE} ${(box[3] - box[2]) * this.unit}`;
      this.svg = make("svg:svg", { viewBox, role: "group", "aria-label": label }, ...this.layers);
      parent.append(make("div", {}, this.svg));
      this.svg.addEventListener("pointerdown", (event) => this._press(event));
    }

    at([x, y]) {
      return [(x - this.box[0]) * this.unit, (this.box[3] - y) * this.unit];
    }

    path(places, closed) {
      return "M" + places.map((place) => this.at(place).map((v) => v.toFixed(1))).join("L") + (closed ? "Z" : "");
    }

    samples(samples) {
      const dots = samples.map((X) => `M${this.at(X).map((v) => v.toFixed(1))}h0`).join("");
      this.layers[1].replaceChildren(make("svg:path", { d: dots }));
    }

    /** Polygons, each shaded by a number from 0 to 1. */
    cells(polygons, shades) {
      const path = (polygon) => (polygon.length ? this.path(polygon, true) : "");
      const shown = polygons.map((cell, i) => make("svg:path", { d: path(cell), "fill-opacity": shades[i] }));
      this.layers[0].replaceChildren(...shown);
    }

    /** Open lines: a density, a box. */
    lines(lines) {
      this.layers[2].replaceChildren(...lines.map((line) => make("svg:path", { d: this.path(line) })));
    }

    /** A cross at each of these places, joined to where it belongs. */
    marks(places, owners) {
      const shown = places.map((place, i) => {
        const [x, y] = this.at(place);
        return make("svg:path", { d: `${this.path([owners[i], place])}M${x - 4} ${y - 4}l8 8m-8 0l8 -8` });
      });
      this.layers[3].replaceChildren(...shown);
    }

    points(points, radii = points.map(() => 6)) {
      const layer = this.layers[4], { describe } = this.handlers;
      while (layer.children.length > points.length) layer.lastChild.remove();
      while (layer.children.length < points.length) layer.append(this._point(layer.children.length));
      this.chosen = Math.min(this.chosen, Math.max(points.length - 1, 0));
      [...layer.children].forEach((node, i) => {
        node.setAttribute("transform", `translate(${this.at(points[i]).map((v) => v.toFixed(1))})`);
        node.lastChild.setAttribute("r", radii[i].toFixed(1));
        if (!describe) return;
        const { now, text } = describe(i);
        node.setAttribute("tabindex", i === this.chosen ? 0 : -1);
        node.setAttribute("aria-label", `point ${i + 1} of ${points.length}`);
        node.setAttribute("aria-valuenow", now.toFixed(3));
        node.setAttribute("aria-valuetext", text);
      });
    }

    _point(i) {
      const role = this.handlers.describe ? { role: "slider" } : {};
      const node = make("svg:g", role, make("svg:circle", { r: 14 }), make("svg:circle", {}));
      if (!this.handlers.describe) return node;
      node.addEventListener("focus", () => this._choose(i, false));
      node.addEventListener("keydown", (event) => this._key(event, i));
      node.addEventListener("pointerdown", (event) => {
        event.stopPropagation();
        event.preventDefault();
        this._choose(i);
        this._follow(event, node, (place, last) => this.handlers.move(i, [place[0] - last[0], place[1] - last[1]]));
      });
      return node;
    }

    _choose(i, focus = true) {
      [...this.layers[4].children].forEach((node, j) => node.setAttribute("tabindex", j === i ? 0 : -1));
      this.chosen = i;
      if (focus) this.layers[4].children[i].focus();
      this.handlers.chosen?.(i);
    }

    _key(event, i) {
      const turn = { PageUp: -1, PageDown: 1 }[event.key], n = this.layers[4].children.length;
      if (turn) this._choose((i + turn + n) % n);
      else if (event.key in ARROWS) {
        const far = event.shiftKey ? 5 : 1;
        this.handlers.move(i, ARROWS[event.key].map((v) => v * far * this.step));
        this.handlers.done?.();
      } else return;
      event.preventDefault();
    }

    _press(event) {
      if (!this.handlers.painting?.()) return;
      event.preventDefault();
      this.handlers.paint(this._place(event));
      this._follow(event, this.svg, (place) => this.handlers.paint(place));
    }

    /** Call moved(place, last place) until the pointer is lifted. */
    _follow(event, node, moved) {
      let last = this._place(event);
      const follow = (e) => {
        const place = this._place(e);
        moved(place, last);
        last = place;
      };
      const end = () => {
        node.removeEventListener("pointermove", follow);
        this.handlers.done?.();
      };
      node.setPointerCapture(event.pointerId);
      node.addEventListener("pointermove", follow);
      node.addEventListener("lostpointercapture", end, { once: true });
    }

    _place(event) {
      const frame = this.svg.getBoundingClientRect(), [left, right, bottom, top] = this.box;
      const x = left + ((event.clientX - frame.left) / frame.width) * (right - left);
      const y = top - ((event.clientY - frame.top) / frame.height) * (top - bottom);
      return [Math.min(Math.max(x, left), right), Math.min(Math.max(y, bottom), top)];
    }
  }

  /** Lines on two axes, each linear or logarithmic. */
  class Chart {
    /** axes: {x: {text, log, range}, y: likewise}; a range is found from the lines unless given. */
    constructor(parent, label, axes) {
      this.axes = axes;
      const viewBox = `0 0 ${SIZE} ${HIGH}`;
      this.svg = make("svg:svg", { viewBox, role: "img", "aria-label": label });
      parent.append(make("div", {}, this.svg));
    }

    /** lines: {places, colour, style: line | dashed | dots | steps, text}. */
    draw(lines) {
      lines = lines.filter((line) => line.places.length);
      const frame = { left: 48, right: SIZE - 8, top: 10, bottom: HIGH - 40 };
      const aside = `translate(11 ${(frame.top + frame.bottom) / 2}) rotate(-90)`;
      const x = scale(this.axes.x, lines.flatMap((l) => l.places.map((p) => p[0])), frame.left, frame.right);
      const y = scale(this.axes.y, lines.flatMap((l) => l.places.map((p) => p[1])), frame.bottom, frame.top);
      const text = (words, at) => make("svg:text", at, words);
      const grid = [
        ...x.ticks.map((v) => make("svg:path", { d: `M${x.at(v)} ${frame.bottom}V${frame.top}` })),
        ...y.ticks.map((v) => make("svg:path", { d: `M${frame.left} ${y.at(v)}H${frame.right}` })),
      ];
      const words = [
        ...x.ticks.map((v) => text(tick(v), { x: x.at(v), y: frame.bottom + 15, "text-anchor": "middle" })),
        ...y.ticks.map((v) => text(tick(v), { x: frame.left - 5, y: y.at(v) + 4, "text-anchor": "end" })),
        text(this.axes.x.text, { x: (frame.left + frame.right) / 2, y: HIGH - 8, "text-anchor": "middle" }),
        text(this.axes.y.text, { transform: aside, "text-anchor": "middle" }),
      ];
      const drawn = lines.map(({ places, colour, style = "line" }) => {
        const at = places.map(([u, v]) => `${x.at(u).toFixed(1)} ${y.at(v).toFixed(1)}`);
        const steps = places.map(([u, v], i) => (i ? `H${x.at(u).toFixed(1)}V${y.at(v).toFixed(1)}` : `M${at[0]}`));
        const d = { dots: at.map((p) => `M${p}h0`).join(""), steps: steps.join("") }[style] ?? `M${at.join("L")}`;
        return make("svg:path", { d, class: `demo-line demo-${style} demo-${colour}` });
      });
      this.svg.replaceChildren(make("svg:g", { class: "demo-grid" }, ...grid), ...words, ...drawn);
    }
  }

  /** Place of a value between two ends, and values worth a tick. */
  function scale({ log = false, range }, values, from, to) {
    let [low, high] = range ?? [Math.min(...values), Math.max(...values)];
    if (log && high < 1.01 * low) [low, high] = [low / 2, high * 2];
    const f = log ? Math.log10 : (v) => v;
    const at = (v) => from + ((f(v) - f(low)) / (f(high) - f(low))) * (to - from);
    return { at, ticks: log ? decades(low, high) : round(low, high) };
  }

  function decades(low, high) {
    const powers = Array.from({ length: 24 }, (_, i) => 10 ** (i - 12));
    const inside = (v) => v >= low * 0.999 && v <= high * 1.001;
    const found = powers.filter(inside);
    return found.length > 2 ? found : powers.flatMap((p) => [p, 2 * p, 5 * p]).filter(inside);
  }

  function round(low, high) {
    const rough = (high - low) / 4, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
    const first = Math.ceil(low / step - 1e-9);
    return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
  }

  /** A tick in words; only powers of 10 are that large. */
  function tick(v) {
    if (v < 1e4) return String(+v.toPrecision(6)).replace("-", "−");
    return `10${String(Math.log10(v)).replace(/\d/g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit])}`;
  }

  Object.assign(ddoq, { Chart, Plane, make });
})();
