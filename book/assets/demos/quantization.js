// Optimal quantization in the page: functions of ddoq_core under their own names, on arrays of points.
// Nothing here knows of a page. tests/book/test_demos.py holds each against its namesake in Python, to 1e-9.
"use strict";

var ddoq = {};

(() => {
  /** |a - b|^2. */
  function squared_distance(a, b) {
    let sum = 0;
    for (let t = 0; t < a.length; t++) sum += (a[t] - b[t]) ** 2;
    return sum;
  }

  /** Index of the nearest point, the first of equals. */
  function winner(sample, points) {
    let best = Infinity, win = 0;
    for (let i = 0; i < points.length; i++) {
      const squared = squared_distance(sample, points[i]);
      if (squared < best) [best, win] = [squared, i];
    }
    return win;
  }

  /** Voronoi cell of each sample (eq. 6). */
  const assign = (samples, points) => samples.map((sample) => winner(sample, points));

  /** Masses, sums and costs of the cells that `labels` say. */
  function cells(samples, points, labels) {
    const masses = points.map(() => 0), sums = points.map((x) => x.map(() => 0));
    const cost = samples.map((X, j) => {
      const i = labels[j];
      masses[i]++;
      for (let t = 0; t < X.length; t++) sums[i][t] += X[t];
      return squared_distance(X, points[i]);
    });
    return { masses, sums, labels, cost, distortion: sum(cost) / samples.length };
  }

  /** Labels that give each empty cell the farthest sample of the cell that holds most of the cost, if any. */
  function refilled(masses, labels, cost) {
    [labels, cost] = [labels.slice(), cost.slice()];
    masses.forEach((mass, empty) => {
      if (mass > 0) return;
      const share = masses.map(() => 0);
      labels.forEach((i, j) => (share[i] += cost[j]));
      const costliest = argmax(share);
      const farthest = argmax(cost.map((c, j) => (labels[j] === costliest ? c : -1)));
      if (cost[farthest] > 0) [labels[farthest], cost[farthest]] = [empty, 0];
    });
    return labels;
  }

  /** Quadratic distortion G(x) = E min_i |X - x_i|^2 of the samples (Definition 1, eq. 7). */
  const distortion = (samples, points) => sweep(samples, points).distortion;

  /** The Voronoi cells of a codebook. */
  const sweep = (samples, points) => cells(samples, points, assign(samples, points));

  /** Mean of each cell (Algorithm 2, line 4); an empty one gets the farthest sample of the costliest. */
  function centroids(samples, found, points) {
    if (found.masses.includes(0)) {
      found = cells(samples, points, refilled(found.masses, found.labels, found.cost));
    }
    return points.map((x, i) => (found.masses[i] ? found.sums[i].map((s) => s / found.masses[i]) : x));
  }

  /** Lloyd's algorithm (Algorithm 2): every point to the centroid of its cell, until the distortion falls no more. */
  function lloyd(samples, codebook, { max_iter = 300, tol = 1e-6 } = {}) {
    let points = codebook, next = codebook, last = null;
    const history = [];
    for (let step = 0; step <= max_iter; step++) {
      const found = sweep(samples, next);
      if (step && history.at(-1) <= found.distortion) break; // nothing gained, or rounding: the last points stand
      [points, last] = [next, found];
      history.push(found.distortion);
      const gain = step ? history.at(-2) - found.distortion : Infinity;
      if (gain <= tol * found.distortion && !found.masses.includes(0)) break;
      next = centroids(samples, found, points);
    }
    return { points, counts: last.masses, distortion: last.distortion, history };
  }

  /** The lowest distortion among several runs of Lloyd's algorithm, each from its own k-means++ start. */
  function best_of_restarts(samples, K, n_restarts, random) {
    const runs = Array.from({ length: n_restarts }, () => lloyd(samples, kmeans_plus_plus(samples, K, random)));
    return runs.reduce((best, run) => (run.distortion < best.distortion ? run : best));
  }

  /** Greedy k-means++ (Arthur and Vassilvitskii 2007): of a few samples drawn far from the others, the best. */
  function kmeans_plus_plus(samples, K, random) {
    const chosen = [samples[draw(samples.map(() => 1), random)]];
    let nearest = samples.map((X) => squared_distance(X, chosen[0]));
    while (chosen.length < K) {
      const before = nearest, length = 2 + Math.floor(Math.log(chosen.length + 1));
      const candidates = Array.from({ length }, () => draw(before, random));
      const to = (x) => samples.map((X, j) => Math.min(squared_distance(X, x), before[j]));
      const lowered = candidates.map((c) => to(samples[c]));
      const best = argmax(lowered.map((costs) => -sum(costs)));
      chosen.push(samples[candidates[best]]);
      nearest = lowered[best];
    }
    return chosen.map((x) => x.slice());
  }

  /** Index drawn with probability proportional to `weight`. */
  function draw(weight, random) {
    let total = 0;
    const cumulated = weight.map((w) => (total += w)), target = random() * total;
    return Math.max(cumulated.findIndex((c) => c > target), 0);
  }

  /** Algorithm 1, lines 3-7: samples X[order] with steps gamma move the points x and the weights w in place. */
  function learn_clvq(X, order, gamma, x, w) {
    order.forEach((j, s) => {
      const win = winner(X[j], x);
      x[win] = x[win].map((value, t) => (1 - gamma[s]) * value + gamma[s] * X[j][t]);
      for (let i = 0; i < w.length; i++) w[i] *= 1 - gamma[s];
      w[win] += gamma[s];
    });
  }

  /** Step sizes gamma_k = (2 + k / K)^(-exponent): each of K points sees about the same schedule. */
  const power_steps = (K, exponent = 0.7) => (k) => (2 + k / K) ** -exponent;

  /** CLVQ (Algorithm 1), one pass: the nearest point moves a step gamma_k towards each sample, the weights with it. */
  function clvq(samples, codebook, steps) {
    const points = codebook.slice(), companion = codebook.map(() => 1 / codebook.length);
    learn_clvq(samples, [...samples.keys()], samples.map((_, k) => steps(k)), points, companion);
    const found = sweep(samples, points);
    return { points, companion, counts: found.masses, distortion: found.distortion };
  }

  /** Voronoi cell of each point of the plane, clipped to a box [left, right, bottom, top]. */
  function cell_polygons(points, [left, right, bottom, top]) {
    const corners = [[left, bottom], [right, bottom], [right, top], [left, top]];
    return points.map((x, i) => points.reduce((cell, y, j) => (i === j ? cell : nearer(cell, x, y)), corners));
  }

  /** The part of a convex polygon that is nearer to x than to y. */
  function nearer(polygon, x, y) {
    const beyond = polygon.map((v) => squared_distance(v, x) - squared_distance(v, y));
    return polygon.flatMap((v, a) => {
      const b = (a + 1) % polygon.length, cut = beyond[a] / (beyond[a] - beyond[b]);
      const kept = beyond[a] <= 0 ? [v] : [];
      if (beyond[a] <= 0 === beyond[b] <= 0) return kept;
      return [...kept, v.map((value, t) => value + cut * (polygon[b][t] - value))];
    });
  }

  // Three clouds of unequal mass and width in the plane (theory.measures.LOPSIDED), and the normal law
  const means = [[-1.2, -0.4], [1.3, 0.9], [1.6, -1.5]];
  const LOPSIDED = { masses: [0.6, 0.3, 0.1], means, scales: [0.75, 0.4, 0.3] };
  const NORMAL = { masses: [1], means: [[0, 0]], scales: [1] };

  /** n draws of a Gaussian mixture. */
  function sample(mixture, n, random) {
    return Array.from({ length: n }, () => {
      let u = random(), j = 0;
      while (j < mixture.masses.length - 1 && (u -= mixture.masses[j]) > 0) j++;
      return mixture.means[j].map((m) => m + mixture.scales[j] * normal(random));
    });
  }

  /** Density of a Gaussian mixture in the plane. */
  function density(mixture, x) {
    const parts = mixture.masses.map((p, j) => {
      const v = mixture.scales[j] ** 2;
      return (p * Math.exp(-squared_distance(x, mixture.means[j]) / (2 * v))) / (2 * Math.PI * v);
    });
    return sum(parts);
  }

  /** Density of N(0, 1). */
  const pdf = (x) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);

  /** Distribution function of N(0, 1): a series about 0, a continued fraction in the tails. */
  function ndtr(x) {
    if (x > 3) return 1 - ndtr(-x);
    if (x < -3) {
      let fraction = -x;
      for (let k = 120; k > 0; k--) fraction = -x + k / fraction;
      return pdf(x) / fraction;
    }
    let term = x, sum = x;
    for (let k = 3; Math.abs(term) > 1e-18; k += 2) sum += term *= (x * x) / k;
    return 0.5 + pdf(x) * sum;
  }

  /** K samples drawn without replacement. */
  function random_samples(samples, K, random) {
    return permutation(samples.length, random).slice(0, K).map((j) => samples[j].slice());
  }

  function permutation(n, random) {
    const order = [...Array(n).keys()];
    for (let i = n - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }

  /** Uniform draws in (0, 1) that follow from a seed (mulberry32): a page opened again shows the same. */
  function random_of(seed) {
    return () => {
      seed = (seed + 0x6d2b79f5) | 0;
      let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 2 ** 32;
    };
  }

  /** A draw of N(0, 1) (Box and Muller). */
  const normal = (random) => Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());

  const sum = (values) => values.reduce((a, b) => a + b, 0);
  const argmax = (values) => values.reduce((best, value, i) => (value > values[best] ? i : best), 0);

  Object.assign(ddoq, {
    LOPSIDED, NORMAL, assign, best_of_restarts, cell_polygons, cells, centroids, clvq, density, distortion,
    kmeans_plus_plus, learn_clvq, lloyd, ndtr, normal, pdf, permutation, power_steps, random_of, random_samples,
    refilled, sample, squared_distance, sum, sweep,
  });
})();
