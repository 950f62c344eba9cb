// What the demos share of the page: controls, panels, read-outs, and a run.
// ddoq.demo(name, build) calls build(page) for every <figure class="demo" data-demo="name">.
"use strict";

(() => {
  const { make } = ddoq;
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let controls = 0; // on this web page so far, for their ids

  class Page {
    constructor(figure) {
      this.preset = JSON.parse(figure.dataset.preset || "{}");
      this.live = figure.querySelector(".demo-live");
      this.controls = make("div", { class: "demo-controls", role: "group", "aria-label": "Controls of the demo" });
      this.panels = make("div", { class: "demo-panels" });
      this.values = make("dl", { class: "demo-readout simple", "aria-live": "polite" });
      this.live.append(this.controls, this.panels, this.values);
      figure.classList.add("demo-on");
    }

    /** A labelled list of choices, {value: [text, ...]}; returns the element, whose value is what is chosen. */
    choice(name, text, choices, changed) {
      const options = Object.entries(choices).map(([value, [shown]]) => make("option", { value }, shown));
      return this._control(make("select", { name }, ...options), text, "change", changed);
    }

    /** A labelled slider; `shown` says its value in words. */
    slider(name, text, { min, max, step = 1, value, shown = String }, changed) {
      const input = make("input", { type: "range", name, min, max, step, value });
      const output = make("output");
      input.say = () => {
        output.textContent = shown(input.valueAsNumber);
        input.setAttribute("aria-valuetext", output.textContent);
      };
      this._control(input, text, "input", () => (input.say(), changed()), output);
      input.say();
      return input;
    }

    button(text, pressed) {
      const node = make("button", { type: "button" }, text);
      node.addEventListener("click", pressed);
      this.controls.append(node);
      return node;
    }

    _control(node, text, event, changed, ...after) {
      if (node.name in this.preset) node.value = this.preset[node.name];
      node.addEventListener(event, changed);
      node.id = `demo-${++controls}-${node.name}`;
      this.controls.append(make("div", {}, make("label", { for: node.id }, text), node, ...after));
      return node;
    }

    /** Show numbers, {name: text}. */
    readout(values) {
      Object.entries(values).forEach(([name, text], i) => {
        const row = this.values.children[i] ?? this.values.appendChild(make("div", {}, make("dt"), make("dd")));
        if (row.firstChild.textContent !== name) row.firstChild.textContent = name;
        if (row.lastChild.textContent !== text) row.lastChild.textContent = text;
      });
      while (this.values.children.length > Object.keys(values).length) this.values.lastChild.remove();
    }

    plane(label, box, handlers) {
      return new ddoq.Plane(this.panels, label, box, handlers);
    }

    chart(label, axes) {
      return new ddoq.Chart(this.panels, label, axes);
    }

    /**
     * A button that runs and stops. step() says whether there is more to do, draw() shows where it stands.
     * For those who ask for less motion all steps are made at once, and the end is shown.
     */
    run(text, step, draw) {
      const stop = () => {
        cancelAnimationFrame(button.frame);
        [button.frame, button.textContent] = [0, text];
        this.values.setAttribute("aria-live", "polite");
        draw();
      };
      const next = () => (step() ? (draw(), (button.frame = requestAnimationFrame(next))) : stop());
      const button = this.button(text, () => {
        if (button.frame) return stop();
        if (calm.matches) {
          while (step());
          return draw();
        }
        button.textContent = "Stop";
        this.values.setAttribute("aria-live", "off"); // else a reader would be told every frame
        button.frame = requestAnimationFrame(next);
      });
      button.stop = () => button.frame && stop();
      return button;
    }
  }

  /** A number with some decimals, as text. */
  const fixed = (value, digits = 4) => (Number.isFinite(value) ? value.toFixed(digits).replace("-", "−") : "–");

  ddoq.fixed = fixed;
  ddoq.demo = (name, build) => {
    const figures = () => document.querySelectorAll(`figure.demo[data-demo="${name}"]`);
    const all = () => figures().forEach((figure) => build(new Page(figure)));
    document.readyState === "loading" ? document.addEventListener("DOMContentLoaded", all) : all();
  };
})();
