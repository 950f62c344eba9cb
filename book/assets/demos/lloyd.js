// Lloyd's algorithm and CLVQ at work on samples in the plane (chapters 11 and 13).
// What they compute stands in quantization.js; here is what is seen of it.
"use strict";

(() => {
  const { fixed } = ddoq;
  const BOX = [-3.5, 3.5, -3.2, 3.2], N = 1500, BRUSH = 0.18, PASSES = 20;
  const PLANE = "The samples, and the points with their cells. Arrows move a point, Page keys choose another.";
  const CHART = "Distortion against the number of samples looked at, Lloyd's algorithm in blue, CLVQ in red.";
  const LAWS = {
    clouds: ["three clouds", (random) => ddoq.sample(ddoq.LOPSIDED, 1, random)[0]],
    normal: ["normal", (random) => ddoq.sample(ddoq.NORMAL, 1, random)[0]],
    ring: ["ring", (random) => around(2 * Math.PI * random(), 2 + 0.15 * ddoq.normal(random))],
    square: ["uniform on a square", (random) => [4 * random() - 2, 4 * random() - 2]],
    painted: ["painted by you", null],
  };
  const STARTS = {
    samples: ["random samples", ddoq.random_samples],
    far: ["k-means++", ddoq.kmeans_plus_plus],
    corner: ["all in one corner", (X, K) => corner(X).slice(0, K)],
    outside: ["one point outside", (X, K, random) => [[-3.4, 3.1], ...ddoq.random_samples(X, K - 1, random)]],
  };
  const CLOCKS = {
    shared: ["(2 + k/K)⁻ᵖ", (K, p) => ddoq.power_steps(K, p)],
    single: ["(2 + k)⁻ᵖ", (K, p) => ddoq.power_steps(1, p)],
  };

  const around = (angle, radius) => [radius * Math.cos(angle), radius * Math.sin(angle)];

  /** Samples, the lowest and leftmost first: a start in the hull of the support, and a bad one. */
  const corner = (X) => X.slice().sort((a, b) => a[0] + a[1] - b[0] - b[1]);

  ddoq.demo("lloyd", (page) => {
    const state = { samples: [], start: [], points: [], curves: { lloyd: [], clvq: [] } };
    let random = ddoq.random_of(1);

    const law = page.choice("law", "Density", LAWS, () => (newSamples(), newStart()));
    const start = page.choice("start", "Start", STARTS, newStart);
    const K = page.slider("K", "Points K", { min: 1, max: 24, value: 8 }, newStart);
    const algorithm = page.choice("algorithm", "Algorithm", { lloyd: ["Lloyd"], clvq: ["CLVQ"] }, reset);
    const clock = page.choice("clock", "Steps γₖ of CLVQ", CLOCKS, reset);
    const exponents = { min: 0.1, max: 1, step: 0.05, value: 0.7, shown: (v) => v.toFixed(2) };
    const p = page.slider("p", "Exponent p", exponents, reset);
    const step = page.button("Step", () => (run.stop(), advance(1), draw()));
    const run = page.run("Run", () => advance(1 + Math.floor(state.k / 25)), draw);
    page.button("Reset", reset);

    const plane = page.plane(PLANE, BOX, {
      describe: (i) => ({ now: state.points[i][0], text: `at ${state.points[i].map((v) => fixed(v, 2)).join(", ")}` }),
      move: (i, [dx, dy]) => {
        const [x, y] = state.points[i];
        state.points[i] = [clamp(x + dx, BOX[0], BOX[1]), clamp(y + dy, BOX[2], BOX[3])];
        state.start = state.points.slice(); // what is placed by hand is a start: Reset returns to it
        state.curves = { lloyd: [], clvq: [] };
        reset();
      },
      painting: () => law.value === "painted",
      paint: (place) => {
        for (let i = 0; i < 8 && state.samples.length < 2 * N; i++) {
          state.samples.push(place.map((v) => v + BRUSH * ddoq.normal(random)));
        }
        plane.samples(state.samples);
      },
      done: () => law.value === "painted" && newStart(),
    });
    const chart = page.chart(CHART, {
      x: { text: "samples looked at", log: true },
      y: { text: "distortion G" },
    });

    function newSamples() {
      random = ddoq.random_of(1);
      const draw = LAWS[law.value][1];
      state.samples = draw ? Array.from({ length: N }, () => draw(random)) : [];
      plane.samples(state.samples);
      plane.svg.classList.toggle("demo-paper", law.value === "painted");
    }

    function newStart() {
      const { samples } = state;
      state.ready = samples.length > K.valueAsNumber;
      state.start = state.ready ? STARTS[start.value][1](samples, K.valueAsNumber, random) : [];
      state.best = state.ready ? ddoq.best_of_restarts(samples, K.valueAsNumber, 5, random).distortion : NaN;
      state.curves = { lloyd: [], clvq: [] };
      reset();
    }

    function reset() {
      run.stop();
      state.points = state.start.slice();
      state.companion = state.points.map(() => 1 / state.points.length);
      [state.k, state.order, state.still] = [0, [], false];
      state.curves[algorithm.value] = [];
      step.disabled = run.disabled = !state.ready;
      for (const control of [clock, p]) control.disabled = algorithm.value !== "clvq";
      draw();
    }

    /** One iteration of Lloyd's algorithm, or n samples of CLVQ; whether there is more to do. */
    function advance(n) {
      const { samples, points } = state, last = state.found.distortion;
      if (algorithm.value === "lloyd") {
        state.points = ddoq.centroids(samples, state.found, points);
        state.k += 1;
      } else {
        const gamma = CLOCKS[clock.value][1](points.length, p.valueAsNumber);
        if (state.order.length < n) state.order.push(...ddoq.permutation(samples.length, random));
        const order = state.order.splice(0, n);
        ddoq.learn_clvq(samples, order, order.map((_, s) => gamma(state.k + s)), points, state.companion);
        state.k += n;
      }
      look();
      if (algorithm.value === "clvq") return state.k < PASSES * samples.length;
      return last - state.found.distortion > 1e-6 * last || state.found.masses.includes(0);
    }

    /** The cells of the points, and one more place of the curve. */
    function look() {
      state.found = ddoq.sweep(state.samples, state.points);
      const seen = state.k * (algorithm.value === "lloyd" ? state.samples.length : 1);
      const curve = state.curves[algorithm.value];
      if (!curve.length || curve.at(-1)[0] < Math.max(seen, 1)) curve.push([Math.max(seen, 1), state.found.distortion]);
    }

    function draw() {
      const { samples, points, companion } = state;
      if (!state.ready) {
        plane.cells([], []), plane.marks([], []), plane.points([]), chart.draw([]);
        return page.readout({ "To begin": `paint with finger or mouse, more than ${K.value} samples` });
      }
      look();
      const { masses, sums, distortion } = state.found, n = samples.length, most = Math.max(...masses);
      const means = points.map((x, i) => (masses[i] ? sums[i].map((s) => s / masses[i]) : x));
      const off = Math.max(...points.map((x, i) => Math.sqrt(ddoq.squared_distance(x, means[i]))));
      plane.cells(ddoq.cell_polygons(points, BOX), masses.map((mass) => (0.5 * mass) / most));
      plane.marks(means, points);
      plane.points(points);
      const last = Math.max(...Object.values(state.curves).flat().map(([seen]) => seen), n);
      chart.axes.y.range = [0, 1.05 * Math.max(...Object.values(state.curves).flat().map(([, G]) => G), state.best)];
      chart.draw([
        { places: [[1, state.best], [last, state.best]], colour: "ink", style: "dashed" },
        { places: state.curves.lloyd, colour: "blue", style: "steps" },
        { places: state.curves.lloyd, colour: "blue", style: "dots" },
        { places: state.curves.clvq, colour: "red" },
      ]);
      const weights = masses.map((mass, i) => Math.abs(mass / n - companion[i]));
      const gamma = CLOCKS[clock.value][1](points.length, p.valueAsNumber)(state.k);
      page.readout({
        "Distortion G": `${fixed(distortion)}; best of five Lloyd runs ${fixed(state.best)}`,
        "Farthest point from its centroid": fixed(off),
        "Empty cells": String(masses.filter((mass) => mass === 0).length),
        [algorithm.value === "lloyd" ? "Iterations" : "Samples looked at"]: state.k.toLocaleString("en"),
        ...(algorithm.value === "clvq" && {
          "Next step γₖ": gamma.toPrecision(2),
          "Companion weights off by at most": fixed(Math.max(...weights)),
        }),
      });
    }

    newSamples();
    newStart();
  });

  const clamp = (v, low, high) => Math.min(Math.max(v, low), high);
})();
