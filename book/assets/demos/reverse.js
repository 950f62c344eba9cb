// Reverse diffusion of four atoms on a line with the exact score, by SDE or ODE, from several starts (chapter 15).
// Noise is Brownian motion: a law of masses, means and scales stays one, with t added to the variances.
"use strict";

(() => {
  const { fixed, ndtr, sum } = ddoq;
  const N = 400, SHOWN = 40, STEPS = 80;
  const PATHS = "Paths of the reverse process, from time T at the left to time 0 at the right; dashed, the four atoms.";
  const SHARES = "Mass left of x at this time: noised data in grey, paths in blue, dashed the exact law of the ends.";
  const FOUR_ATOMS = { masses: [0.1, 0.4, 0.2, 0.3], means: [-1, -0.4, 0.3, 1], scales: [0, 0, 0, 0] };
  const STARTS = {
    data: ["the data, noised", () => FOUR_ATOMS],
    two: ["two centroids, noised", () => ({ masses: [0.5, 0.5], means: [-0.52, 0.72], scales: [0, 0] })],
    mean: ["their mean, noised", () => ({ masses: [1], means: [0.1], scales: [0] })],
    point: ["one point x at time T", (x) => ({ masses: [1], means: [x], scales: [0] })],
  };
  const KINDS = { sde: ["SDE"], ode: ["probability-flow ODE"] };

  /** Law of X_t when `law` is that of X_0. */
  const noised = (law, t) => ({ ...law, scales: law.scales.map((s) => Math.sqrt(s * s + t)) });

  /** Probability of each component given x. */
  function responsibilities(law, x) {
    const logs = law.means.map((m, j) => {
      const s = law.scales[j];
      return Math.log(law.masses[j] / s) - (x - m) ** 2 / (2 * s * s);
    });
    const most = Math.max(...logs), parts = logs.map((log) => Math.exp(log - most)), total = sum(parts);
    return parts.map((part) => part / total);
  }

  /** grad log p(x), exact. */
  const score = (law, x) =>
    sum(responsibilities(law, x).map((r, j) => (r * (law.means[j] - x)) / law.scales[j] ** 2));

  /** Mass up to x; an atom at x counts. */
  function cdf(law, x) {
    const below = (m, s) => (s ? ndtr((x - m) / s) : Number(m <= x));
    return sum(law.masses.map((p, j) => p * below(law.means[j], law.scales[j])));
  }

  /** Times of the reverse process, from T down to delta, denser towards delta. */
  const schedule = (delta, T, n) => Array.from({ length: n + 1 }, (_, i) => delta + (T - delta) * (1 - i / n) ** 2);

  /** One step of the reverse SDE from time t to s < t with E[X_0 | X_t] held. */
  function exponential_integrator(x, slope, t, s, noise) {
    return ((t - s) / t) * (x + t * slope) + (s / t) * x + Math.sqrt((s * (t - s)) / t) * noise;
  }

  /** One step of the probability-flow ODE with E[X_0 | X_t] held. */
  function probability_flow(x, slope, t, s) {
    const z = x + t * slope;
    return z + Math.sqrt(s / t) * (x - z);
  }

  /** Masses at the atoms of `data` at time 0, exact, when the reverse process starts from the law `start` at time T. */
  function end_shares(data, start, T, kind) {
    const at_T = noised(data, T);
    return kind === "ode" ? shares_of_flow(at_T, start) : shares_of_kernel(at_T, start);
  }

  /** By Bayes: from x the SDE ends at an atom with its posterior probability, averaged over x. */
  function shares_of_kernel(at_T, start) {
    const NODES = 1200, WIDE = 9, shares = at_T.masses.map(() => 0);
    start.means.forEach((m, i) => {
      const places = start.scales[i] ? Array.from({ length: NODES }, (_, a) => WIDE * ((2 * a + 1) / NODES - 1)) : [0];
      const weights = places.map((u) => Math.exp((-u * u) / 2)), total = sum(weights);
      places.forEach((u, a) => {
        const given = responsibilities(at_T, m + start.scales[i] * u);
        given.forEach((r, j) => (shares[j] += (start.masses[i] * weights[a] * r) / total));
      });
    });
    return shares;
  }

  /** The ODE keeps the order of places: as much mass as the noised data has left of a border ends left of it. */
  function shares_of_flow(at_T, start) {
    let left = 0, before = 0;
    return at_T.masses.map((mass, j) => {
      left += mass;
      const now = j === at_T.masses.length - 1 ? 1 : cdf(start, quantile(at_T, left));
      const share = now - before;
      before = now;
      return share;
    });
  }

  function quantile(law, u) {
    let low = -60, high = 60;
    for (let i = 0; i < 80; i++) {
      const middle = (low + high) / 2;
      cdf(law, middle) < u ? (low = middle) : (high = middle);
    }
    return high;
  }

  /** W_1 of two laws on a line with finitely many atoms: what lies between their distribution functions. */
  function wasserstein1(one, other) {
    const places = [...one.means, ...other.means].sort((a, b) => a - b);
    return sum(places.slice(1).map((x, i) => (x - places[i]) * Math.abs(cdf(one, places[i]) - cdf(other, places[i]))));
  }

  Object.assign(ddoq, {
    FOUR_ATOMS, cdf, end_shares, exponential_integrator, noised, probability_flow, responsibilities, schedule, score,
    wasserstein1,
  });

  ddoq.demo("reverse", (page) => {
    const state = {};
    const start = page.choice("start", "Start", STARTS, reset);
    const kind = page.choice("kind", "Way back", KINDS, reset);
    const times = { min: 0.05, max: 2, step: 0.05, value: 1, shown: (v) => v.toFixed(2) };
    const T = page.slider("T", "Strength: time T", times, reset);
    const x = page.slider("x", "Point x", { min: -2, max: 2, step: 0.05, value: 0, shown: (v) => fixed(v, 2) }, reset);
    const run = page.run("Run", advance, draw);
    page.button("Reset", reset);
    const paths = page.chart(PATHS, { x: { text: "time undone, T − t" }, y: { text: "x" } });
    const shares = page.chart(SHARES, {
      x: { text: "x", range: [-3, 3] },
      y: { text: "share of the mass left of x", range: [0, 1] },
    });

    /** Places at time T: from the same draws for every choice, so that SDE and ODE start alike. */
    function reset() {
      run.stop();
      const random = ddoq.random_of(3), clean = STARTS[start.value][1](x.valueAsNumber);
      const begin = start.value === "point" ? clean : noised(clean, T.valueAsNumber);
      state.random = random;
      state.clean = clean;
      state.places = ddoq.sample({ ...begin, means: begin.means.map((m) => [m]) }, N, random).map(([v]) => v);
      state.times = schedule(0, T.valueAsNumber, STEPS);
      state.k = 0;
      state.exact = end_shares(FOUR_ATOMS, begin, T.valueAsNumber, kind.value);
      state.tracks = state.places.slice(0, SHOWN).map((v) => [[0, v]]);
      x.disabled = start.value !== "point";
      draw();
    }

    /** One step of all paths; whether there is more to do. */
    function advance() {
      if (state.k === STEPS) return false;
      const [t, s] = state.times.slice(state.k, state.k + 2), at_t = noised(FOUR_ATOMS, t);
      const step = kind.value === "ode" ? probability_flow : exponential_integrator;
      state.places = state.places.map((v) => step(v, score(at_t, v), t, s, ddoq.normal(state.random)));
      state.k += 1;
      state.tracks.forEach((track, i) => track.push([T.valueAsNumber - s, state.places[i]]));
      return state.k < STEPS;
    }

    function draw() {
      const t = state.times[state.k], wide = 1 + 3 * Math.sqrt(T.valueAsNumber);
      const inside = ([u, v]) => [u, Math.min(Math.max(v, -wide), wide)];
      Object.assign(paths.axes.x, { range: [0, T.valueAsNumber] });
      Object.assign(paths.axes.y, { range: [-wide, wide] });
      paths.draw([
        ...FOUR_ATOMS.means.map((m) => ({ places: [[0, m], [T.valueAsNumber, m]], colour: "ink", style: "dashed" })),
        ...state.tracks.map((track) => ({ places: track.map(inside), colour: "blue", style: "thin" })),
        { places: state.tracks.map((track) => inside(track.at(-1))), colour: "red", style: "dots" },
      ]);
      const at_t = noised(FOUR_ATOMS, t), grid = Array.from({ length: 121 }, (_, i) => -3 + i / 20);
      const ends = { ...FOUR_ATOMS, masses: state.exact };
      shares.draw([
        { places: t ? grid.map((v) => [v, cdf(at_t, v)]) : corners(FOUR_ATOMS), colour: "grey" },
        { places: corners(of_places(state.places)), colour: "blue" },
        { places: corners(ends), colour: "ink", style: "dashed" },
      ]);
      const counted = FOUR_ATOMS.means.map((_, j) => state.places.filter((v) => nearest(v) === j).length / N);
      const [after, before] = [ends, state.clean].map((law) => fixed(wasserstein1(law, FOUR_ATOMS)));
      page.readout({
        "Time t of the noise": fixed(t, 3),
        "Ends at the four atoms": t ? "not there yet" : told(counted),
        "The same, exact": told(state.exact),
        "Masses of the atoms": told(FOUR_ATOMS.masses),
        "W₁ to the data, exact ends": `${after}; before the noise ${start.value === "point" ? "–" : before}`,
      });
    }

    reset();
  });

  /** Index of the atom that is nearest to a place. */
  function nearest(v) {
    return ddoq.assign([[v]], FOUR_ATOMS.means.map((m) => [m]))[0];
  }

  function told(shares) {
    return `${shares.map((share) => fixed(100 * share, 1)).join(", ")} %`;
  }

  /** The measure of these places, in increasing order. */
  function of_places(places) {
    const means = places.slice().sort((a, b) => a - b);
    return { masses: means.map(() => 1 / means.length), means };
  }

  /** The distribution function of atoms in increasing order, as corners of a line from -3 to 3. */
  function corners({ masses, means }) {
    let left = 0;
    const steps = means.flatMap((m, j) => [[m, left], [m, Math.min((left += masses[j]), 1)]]);
    return [[-3, 0], ...steps.filter(([v]) => Math.abs(v) < 3), [3, 1]];
  }
})();
