// The rate of quantization: distortion against Zador's line, in one to three dimensions (chapter 12).
"use strict";

(() => {
  const { fixed, ndtr, pdf } = ddoq;
  const LEVELS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]; // two steps of the slider double K
  const N = 16000, FRESH = 20000; // samples of Lloyd's algorithm, and those that judge
  const CHART = "Distance of the codebook to the law against the number of points; dashed, Zador's line.";

  // Zador's constants: Q_1, Q_2, and Q_3 of the lattice that is conjectured best (theory.zador.ZADOR)
  const ZADOR = { 1: 1 / 12, 2: 5 / (18 * Math.sqrt(3)), 3: 19 / (64 * 2 ** (1 / 3)) };

  /** |p|_{d/(d+2)} of N(0, I_d). */
  const normal_norm = (d) => 2 * Math.PI * ((d + 2) / d) ** ((d + 2) / 2);

  /** Limit of K^(2/d) G (Zador), for N(0, I_d) or the uniform law on the unit cube. */
  const zador_limit = (d, normal) => ZADOR[d] * (normal ? normal_norm(d) : 1);

  /** Gradient (eq. 13), cell masses and distortion of increasing points for N(0, 1). */
  function normal_cells(x) {
    const edges = [-Infinity, ...x.slice(1).map((v, i) => (v + x[i]) / 2), Infinity];
    const gradient = [], mass = [];
    let distortion = 0;
    x.forEach((v, i) => {
      const [a, b] = [edges[i], edges[i + 1]], moment = (e) => (Number.isFinite(e) ? e * pdf(e) : 0);
      mass[i] = v > 0 ? ndtr(-a) - ndtr(-b) : ndtr(b) - ndtr(a); // ndtr keeps its digits below 0 only
      const first = pdf(a) - pdf(b), second = mass[i] + moment(a) - moment(b);
      gradient[i] = 2 * (v * mass[i] - first);
      distortion += second - 2 * v * first + v * v * mass[i];
    });
    return { gradient, mass, distortion };
  }

  /** Optimal points and distortion of N(0, 1): grad G = 0 by Newton's method, by Lloyd's where that would not help. */
  function normal_route(K) {
    let x = Array.from({ length: K }, (_, i) => Math.sqrt(3) * quantile((i + 0.5) / K)); // density p^(1/3)
    let found = normal_cells(x);
    for (let step = 0; step < 200; step++) {
      const way = solved(x, found), newton = x.map((v, i) => v - way[i]);
      const next = newton.every((v, i) => !i || v > newton[i - 1]) ? normal_cells(newton) : null;
      const better = next && largest(off(next)) < largest(off(found));
      if (!better && largest(off(found)) < 1e-11) break; // rounding is all that is left
      x = better ? newton : x.map((v, i) => v - off(found)[i]);
      found = better ? next : normal_cells(x);
    }
    x = x.map((v, i) => (v - x[K - 1 - i]) / 2); // the optimum is unique, so symmetric
    return [x, normal_cells(x).distortion];
  }

  /** How far each point is from the centroid of its cell. */
  const off = ({ gradient, mass }) => gradient.map((g, i) => g / (2 * mass[i]));

  const largest = (values) => Math.max(...values.map(Math.abs));

  /** Hessian^-1 gradient; the Hessian is tridiagonal, since only neighbours share a boundary. */
  function solved(x, { gradient, mass }) {
    const flux = x.slice(1).map((v, i) => ((v - x[i]) / 2) * pdf((v + x[i]) / 2));
    const diagonal = mass.map((m, i) => 2 * m - (flux[i] ?? 0) - (flux[i - 1] ?? 0)), right = gradient.slice();
    for (let i = 1; i < x.length; i++) {
      const factor = -flux[i - 1] / diagonal[i - 1];
      diagonal[i] += factor * flux[i - 1];
      right[i] -= factor * right[i - 1];
    }
    for (let i = x.length - 1; i >= 0; i--) right[i] = (right[i] + (flux[i] ?? 0) * (right[i + 1] ?? 0)) / diagonal[i];
    return right;
  }

  function quantile(u) {
    let low = -10, high = 10;
    for (let i = 0; i < 60; i++) ndtr((low + high) / 2) < u ? (low = (low + high) / 2) : (high = (low + high) / 2);
    return (low + high) / 2;
  }

  /** Midpoints of K equal intervals, and G = 1 / (12 K^2). */
  const uniform_route = (K) => [Array.from({ length: K }, (_, i) => (i + 0.5) / K), 1 / (12 * K ** 2)];

  /** Slope of log G^(1/2) against log K between two levels. */
  const slope = ([K, G], [J, H]) => Math.log(G / H) / 2 / Math.log(K / J);

  /** Points, and their distortion on fresh samples, by Lloyd's algorithm from the density p^(d/(d+2)). */
  function lloyd_distortion(d, normal, K, random) {
    const coordinate = normal ? (wide) => wide * ddoq.normal(random) : () => random();
    const draw = (n, wide = 1) => Array.from({ length: n }, () => Array.from({ length: d }, () => coordinate(wide)));
    const start = draw(K, Math.sqrt((d + 2) / d));
    const { points } = ddoq.lloyd(draw(N), start, { max_iter: 40, tol: 1e-4 });
    return [points, ddoq.distortion(draw(FRESH), points)];
  }

  Object.assign(ddoq, { ZADOR, normal_cells, normal_norm, normal_route, slope, uniform_route, zador_limit });

  ddoq.demo("rate", (page) => {
    const tables = {}; // of a law and a dimension: K -> [points, G]
    const levels = { min: 0, max: LEVELS.length - 1, value: 7, shown: (i) => String(LEVELS[i]) };
    const law = page.choice("law", "Law", { cube: ["uniform on the cube"], normal: ["normal"] }, draw);
    const d = page.slider("d", "Dimension d", { min: 1, max: 3, value: 2 }, draw);
    const index = page.slider("K", "Points K", levels, draw);
    page.run("All K", more, draw);
    const planes = {
      cube: page.plane("The codebook", [-0.12, 1.12, -0.12, 1.12]),
      normal: page.plane("The codebook", [-4.2, 4.2, -4.2, 4.2]),
    };
    const chart = page.chart(CHART, {
      x: { text: "points K", log: true, range: [1, LEVELS.at(-1)] },
      y: { text: "distance √G", log: true },
    });

    const table = () => (tables[law.value + d.value] ??= new Map());

    /** Points and distortion of K points. */
    function solve(K) {
      const normal = law.value === "normal", found = table();
      if (!found.has(K) && d.valueAsNumber === 1) {
        const [x, G] = (normal ? normal_route : uniform_route)(K);
        found.set(K, [x.map((v) => [v]), G]);
      }
      if (!found.has(K)) found.set(K, lloyd_distortion(d.valueAsNumber, normal, K, ddoq.random_of(K)));
      return found.get(K);
    }

    /** The next K that is not known yet; whether there is one. */
    function more() {
      const next = LEVELS.findIndex((K) => !table().has(K));
      if (next < 0) return false;
      solve(LEVELS[next]);
      index.value = next;
      index.say();
      return true;
    }

    function draw() {
      const i = index.valueAsNumber, K = LEVELS[i], before = LEVELS[Math.max(i - 2, 0)], power = -1 / d.valueAsNumber;
      const limit = zador_limit(d.valueAsNumber, law.value === "normal");
      const zador = (level) => limit * level ** (2 * power);
      const [points, G] = solve(K), [, H] = solve(before);
      for (const [name, plane] of Object.entries(planes)) plane.svg.parentElement.hidden = name !== law.value;
      show(planes[law.value], points, law.value === "cube");
      const places = [...table()].map(([level, [, value]]) => [level, Math.sqrt(value)]).sort((a, b) => a[0] - b[0]);
      const line = [1, LEVELS.at(-1)].map((level) => [level, Math.sqrt(zador(level))]);
      const heights = [...line, ...places].map(([, height]) => height);
      chart.axes.y.range = [0.7 * Math.min(...heights), 1.4 * Math.max(...heights)];
      chart.draw([
        { places: line, colour: "ink", style: "dashed" },
        { places, colour: "blue" },
        { places, colour: "blue", style: "dots" },
        { places: [[K, Math.sqrt(G)]], colour: "red", style: "dots" },
      ]);
      const local = `${fixed(slope([K, G], [before, H]), 3)} from K = ${before} to ${K}; −1/d is ${fixed(power, 3)}`;
      page.readout({
        "Distortion G": G.toPrecision(4),
        "Zador's line there": `${zador(K).toPrecision(4)}; G over it ${fixed(G / zador(K), 3)}`,
        "Local slope of √G": K > 1 ? local : "needs two points",
      });
    }

    draw();
  });

  /** A codebook: points under the density on a line, cells in the plane, a view from aside in space. */
  function show(plane, points, cube) {
    const [left, right] = plane.box, wide = right - left, middle = (left + right) / 2, d = points[0].length;
    const aside = (place) => {
      const [x, y, z] = place.map((v) => v - middle);
      return [middle + 0.75 * x + 0.4 * y, middle + 0.85 * z - 0.3 * y];
    };
    const floor = left + 0.3 * wide, on_floor = ([x]) => [x, floor], near = (x) => 3.5 + (4 * (middle - x[1])) / wide;
    const bell = Array.from({ length: 121 }, (_, i) => left + (i / 120) * wide).map((x) => [x, floor + 9 * pdf(x)]);
    const slab = [[left, floor], [0, floor], [0, floor + 0.5], [1, floor + 0.5], [1, floor], [right, floor]];
    const cells = d === 2 ? ddoq.cell_polygons(points, cube ? [0, 1, 0, 1] : plane.box) : [];
    const box = edges(cube ? [0, 1] : [-3, 3]).map((edge) => edge.map(aside));
    plane.lines({ 1: [cube ? slab : bell], 2: [], 3: box }[d]);
    plane.cells(cells, cells.map(() => 0.08));
    plane.points(points.map({ 1: on_floor, 2: (x) => x, 3: aside }[d]), points.map((x) => (d === 3 ? near(x) : 4)));
  }

  /** The twelve edges of a cube whose corners have coordinates among two. */
  function edges(ends) {
    const along = [(a, b, c) => [c, a, b], (a, b, c) => [a, c, b], (a, b, c) => [a, b, c]];
    return along.flatMap((place) => ends.flatMap((a) => ends.map((b) => ends.map((c) => place(a, b, c)))));
  }
})();
