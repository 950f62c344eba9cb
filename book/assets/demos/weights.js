// One codebook under four kinds of weights (chapter 14).
"use strict";

(() => {
  const { fixed, sum } = ddoq;
  const BOX = [-4.2, 4.2, -4.2, 4.2], N = 800;
  const WIDE = 9, CUTS = 180; // of the grid of integrals: half its width, cells along a side
  const PLANE = "The samples, and points as large as their weights. Arrows change a weight, Page keys choose another.";
  const CHART = "Mass left of x1: cloud in grey, codebook in blue, dashed the law that the weights converge to.";
  const LAWS = { clouds: ["three clouds", ddoq.LOPSIDED], normal: ["normal", ddoq.NORMAL] };
  const ALPHA = { uniform: 0, sqrt: 0.5, proportional: 1 };
  const SCHEMES = {
    uniform: ["uniform"],
    sqrt: ["square root, eq. 33"],
    proportional: ["proportional"],
    own: ["your own"],
  };
  const INTEGRANDS = {
    square: ["|x|²", (x) => x[0] ** 2 + x[1] ** 2],
    first: ["x₁", (x) => x[0]],
    cosine: ["cos x₁", (x) => Math.cos(x[0])],
    call: ["max(x₁ − 1, 0)", (x) => Math.max(x[0] - 1, 0)],
    distance: ["distance to the nearest point", (x, points) => Math.sqrt(ddoq.distortion([x], points))],
  };

  /** Weights of the K points from the counts of their cells: uniform, proportional, sqrt, or an exponent. */
  function companion_weights(counts, scheme) {
    const total = sum(counts), proportional = counts.map((v) => (counts.length * v) / total);
    if (typeof scheme === "number") {
      const powers = proportional.map((v) => v ** scheme), mean = sum(powers) / powers.length;
      return powers.map((v) => v / mean);
    }
    return { uniform: proportional.map(() => 1), proportional, sqrt: proportional.map(Math.sqrt) }[scheme];
  }

  /** beta such that optimal grids with weights proportional to mu(C_i)^alpha tend to the law p^beta / int p^beta. */
  const limit_exponent = (d, alpha) => (d + 2 * alpha) / (d + 2);

  /**
   * W_2 (eq. 5) between sum_i w_i delta(x_i) and the samples' measure, exact, for weights of 0 or more that sum to 1.
   *
   * Samples go to the nearest point first, which is best for the cell masses. Then mass moves along cheapest paths from
   * points that have too much to points that have too little (successive shortest paths).
   */
  function wasserstein2(points, weights, samples) {
    const K = points.length, n = samples.length, ROUNDING = 1e-13;
    const cost = points.map((x) => Float64Array.from(samples, (X) => ddoq.squared_distance(x, X)));
    const held = points.map(() => new Map()), surplus = Float64Array.from(weights, (w) => -w);
    ddoq.assign(samples, points).forEach((i, j) => (held[i].set(j, 1 / n), (surplus[i] += 1 / n)));
    const price = points.map(() => new Float64Array(K)), cheapest = points.map(() => new Int32Array(K));
    /** The cheapest sample that point i can hand to each other point, and its price. */
    const offer = (i) => {
      price[i].fill(Infinity);
      for (const j of held[i].keys()) {
        for (let k = 0; k < K; k++) {
          const more = cost[k][j] - cost[i][j];
          if (k !== i && more < price[i][k]) (price[i][k] = more), (cheapest[i][k] = j);
        }
      }
    };
    for (let i = 0; i < K; i++) offer(i);
    for (;;) {
      const away = surplus.map((s) => (s > ROUNDING ? 0 : Infinity)), from = new Int32Array(K).fill(-1);
      for (let round = 0, moved = true; moved && round < K; round++) { // Bellman and Ford
        moved = false;
        for (let i = 0; i < K; i++) {
          for (let k = 0; k < K; k++) {
            const total = away[i] + price[i][k];
            if (total < away[k] - 1e-12) (away[k] = total), (from[k] = i), (moved = true);
          }
        }
      }
      let end = -1;
      for (let k = 0; k < K; k++) if (surplus[k] < -ROUNDING && away[k] < (away[end] ?? Infinity)) end = k;
      if (end < 0) break;
      const path = [end];
      while (from[path[0]] >= 0) path.unshift(from[path[0]]);
      const hops = path.slice(1).map((k, a) => [path[a], k, cheapest[path[a]][k]]);
      const amount = Math.min(surplus[path[0]], -surplus[end], ...hops.map(([i, , j]) => held[i].get(j)));
      for (const [i, k, j] of hops) {
        held[k].set(j, (held[k].get(j) ?? 0) + amount);
        held[i].get(j) - amount > 1e-15 ? held[i].set(j, held[i].get(j) - amount) : held[i].delete(j);
      }
      surplus[path[0]] -= amount;
      surplus[end] += amount;
      path.forEach(offer);
    }
    return Math.sqrt(sum(held.map((mine, i) => sum([...mine].map(([j, mass]) => mass * cost[i][j])))));
  }

  /** The law p^beta / int p^beta as masses on the middles of a grid. */
  function limit_law(mixture, beta) {
    const side = Array.from({ length: CUTS }, (_, a) => -WIDE + ((a + 0.5) * 2 * WIDE) / CUTS);
    const places = side.flatMap((x) => side.map((y) => [x, y]));
    const masses = places.map((x) => ddoq.density(mixture, x) ** beta), total = sum(masses);
    const marginal = side.map((_, a) => sum(masses.slice(a * CUTS, (a + 1) * CUTS)) / total); // of the first coordinate
    const edges = side.map((x) => [x + WIDE / CUTS]);
    return { edges, places, masses: masses.map((m) => m / total), marginal };
  }

  Object.assign(ddoq, { companion_weights, limit_exponent, limit_law, wasserstein2 });

  ddoq.demo("weights", (page) => {
    const state = { laws: {} };
    const mean_one = { min: 0, max: 4, step: 0.05, value: 1, shown: (v) => v.toFixed(2) };
    const law = page.choice("law", "Density", LAWS, codebook);
    const K = page.slider("K", "Points K", { min: 2, max: 48, value: 12 }, codebook);
    const scheme = page.choice("scheme", "Weights", SCHEMES, weigh);
    const own = page.slider("own", "Weight of the chosen point", mean_one, () => set(plane.chosen, own.valueAsNumber));
    const integrand = page.choice("f", "Function f", INTEGRANDS, draw);
    const plane = page.plane(PLANE, BOX, {
      describe: (i) => ({
        now: state.weights[i],
        text: `weight ${fixed(state.weights[i], 2)}, mass of its cell ${fixed((K.value * state.counts[i]) / N, 2)}`,
      }),
      move: (i, [, up]) => set(i, Math.min(Math.max(state.weights[i] + up, 0), 4)),
      chosen: show,
    });
    const chart = page.chart(CHART, {
      x: { text: "x₁", range: [-4, 4] },
      y: { text: "share of the mass left of x₁", range: [0, 1] },
    });

    function codebook() {
      const random = ddoq.random_of(2);
      state.samples = ddoq.sample(LAWS[law.value][1], N, random);
      Object.assign(state, ddoq.best_of_restarts(state.samples, K.valueAsNumber, 4, random));
      plane.samples(state.samples);
      plane.cells(ddoq.cell_polygons(state.points, BOX), state.points.map(() => 0));
      if (scheme.value === "own") scheme.value = "proportional";
      weigh();
    }

    function weigh() {
      if (scheme.value !== "own") state.weights = companion_weights(state.counts, ALPHA[scheme.value]);
      draw();
    }

    function set(i, weight) {
      state.weights[i] = weight;
      if (sum(state.weights) === 0) state.weights[i] = 0.05;
      scheme.value = "own";
      draw();
    }

    function show(i) {
      own.value = state.weights[i];
      own.say();
    }

    /** The law that the chosen weights converge to, if there is one. */
    function limit() {
      if (scheme.value === "own") return null;
      const beta = limit_exponent(2, ALPHA[scheme.value]);
      return (state.laws[law.value + beta] ??= { beta, ...limit_law(LAWS[law.value][1], beta) });
    }

    function draw() {
      const { points, samples, weights, distortion } = state, tends = limit();
      const masses = weights.map((w) => w / sum(weights)), floor = Math.sqrt(distortion);
      const away = wasserstein2(points, masses, samples), above = Math.max(100 * (away / floor - 1), 0);
      const mean = (places, w) => fixed(sum(places.map((x, i) => w[i] * INTEGRANDS[integrand.value][1](x, points))), 3);
      plane.points(points, masses.map((w) => Math.sqrt(1600 * w + 1)));
      show(plane.chosen);
      chart.draw([
        { places: left_of(samples, samples.map(() => 1 / N)), colour: "grey" },
        { places: left_of(points, masses), colour: "blue", style: "steps" },
        { places: tends ? left_of(tends.edges, tends.marginal) : [], colour: "ink", style: "dashed" },
      ]);
      page.readout({
        "W₂ to the cloud": `${fixed(away)}; ${fixed(above, 1)} % above √G = ${fixed(floor)}`,
        "E f, cloud": mean(samples, samples.map(() => 1 / N)),
        "E f, weighted codebook": mean(points, masses),
        "E f, law that these weights converge to": tends
          ? `${mean(tends.places, tends.masses)}, density ∝ p to the power ${+tends.beta.toFixed(2)}`
          : "none: weights of your own follow no law",
      });
    }

    codebook();
  });

  /** Share of the mass left of each first coordinate, as places of a chart. */
  function left_of(places, masses) {
    let left = 0;
    const order = [...places.keys()].sort((a, b) => places[a][0] - places[b][0]);
    const shares = order.map((i) => [places[i][0], Math.min((left += masses[i]), 1)]);
    return [[-4, 0], ...shares.filter(([x]) => Math.abs(x) < 4), [4, 1]];
  }
})();
