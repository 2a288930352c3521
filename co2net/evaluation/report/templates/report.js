"use strict";
// Curves and the picture viewer. Everything is drawn from the JSON in #data; nothing is fetched.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const SVG = "http://www.w3.org/2000/svg";
  const DASHES = ["2 4", "8 4", "10 3 2 3", "", "4 2", "12 4"];
  const state = { metric: data.metric, clip: 0, order: "error", log: data.metrics[data.metric].log, hidden: new Set() };

  const element = (tag, attributes = {}, ...children) => {
    const made = tag.startsWith("svg:") ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  const known = (value) => value !== null && value !== undefined;
  const mean = (values) => {
    const there = values.filter(known);
    return there.length ? there.reduce((sum, value) => sum + value, 0) / there.length : null;
  };
  const metric = () => data.metrics[state.metric];
  // No more digits than the data has (four), nor than the tables show.
  const text = (value, most = metric().digits) => {
    if (!known(value)) return "–";
    const digits = value ? 3 - Math.floor(Math.log10(Math.abs(value))) : 0;
    return value.toFixed(Math.min(Math.max(digits, 0), most)).replace("-", "−");
  };

  const evaluation = { methods: data.methods, hidden: state.hidden, metric, redraw: () => drawAll() };

  // ---- scales -------------------------------------------------------------------------------------------------

  function niceStep(range, count) {
    const rough = range / Math.max(count, 1), power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].map((m) => m * power).find((step) => step >= rough * 0.999);
  }

  // Maps [low, high] to [start, end] pixels; `ticks` are [value, label].
  function scale(low, high, start, end, { log = false, count = 5, whole = false } = {}) {
    if (log) {
      const a = Math.log(low), b = Math.log(high > low ? high : low * 1.01);
      const place = (value) => start + (end - start) * (Math.log(Math.max(value, low)) - a) / (b - a);
      const values = [];
      for (let p = Math.floor(Math.log10(low)); p <= Math.log10(high); p++) for (const m of [1, 2, 5]) values.push(m * 10 ** p);
      let ticks = values.filter((value) => value >= low * 0.999 && value <= high * 1.001);
      if (ticks.length > count + 3) ticks = ticks.filter((value) => Math.abs(Math.log10(value) % 1) < 1e-9);
      if (ticks.length < 2) return { ...scale(low, high, start, end, { count }), place };
      return { place, ticks: ticks.map((value) => [value, String(+value.toPrecision(3))]) };
    }
    if (high <= low) { const pad = Math.abs(low) * 0.01 || 1; low -= pad; high += pad; }
    const place = (value) => start + (end - start) * (value - low) / (high - low);
    let step = niceStep(high - low, count);
    if (whole) step = Math.max(1, Math.round(step));
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    const ticks = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-6; i++) ticks.push([i * step, (i * step).toFixed(digits).replace("-", "−")]);
    return { place, ticks };
  }

  // ---- one chart: a cursor over shared positions, a readout that is the legend, arrow keys -----------------------

  class Chart {
    // `of` says whose curves they are: { methods, hidden, metric(), redraw() }.
    constructor(id, { name, points = false, pick = null, of = evaluation }) {
      this.figure = byId(id);
      this.of = of;
      this.name = name;
      this.points = points;
      this.pick = pick;
      this.at = 0;
      this.where = element("p", { class: "where" });
      this.legend = element("div", { class: "legend", role: "group", "aria-label": "Methods shown" });
      this.plot = element("svg:svg", { class: "plot", tabindex: "0", role: "slider", "aria-label": name, "aria-valuemin": "1" });
      this.figure.append(this.where, this.legend, this.plot);
      this.name_methods();
      this.plot.addEventListener("pointermove", (event) => this.moveTo(this.nearest(event)));
      this.plot.addEventListener("click", (event) => { this.moveTo(this.nearest(event)); this.pick?.(this.at); });
      this.plot.addEventListener("keydown", (event) => this.key(event));
      new ResizeObserver(() => { if (this.plot.clientWidth && this.plot.clientWidth !== this.width) this.draw(); }).observe(this.figure);
    }

    color(m) { return (this.of.methods[m].color ?? m) % 6; }

    // The legend; again whenever the methods change.
    name_methods() {
      this.legend.replaceChildren();
      this.values = this.of.methods.map((method, m) => {
        const c = this.color(m);
        const line = element("svg:line", { class: "series", x1: 0, x2: 26, y1: 5, y2: 5, "stroke-dasharray": this.points ? "" : DASHES[c] });
        const mark = this.points ? element("svg:circle", { cx: 13, cy: 5, r: 4, fill: "currentColor" }) : line;
        const value = element("b");
        const button = element("button", { type: "button", "aria-pressed": "true" },
          element("svg:svg", { viewBox: "0 0 26 10", "aria-hidden": "true", class: `m${c}` }, mark), method.label, value);
        button.addEventListener("click", () => {
          const { hidden } = this.of;
          hidden.has(m) ? hidden.delete(m) : hidden.add(m);
          this.of.redraw();
        });
        this.legend.append(button);
        return { button, value };
      });
    }

    // content: { x: positions, series: [method][i], describe(i), xName, yName, log, xLog, whole, share }
    show(content, at = this.at) {
      this.content = content;
      this.at = Math.min(Math.max(at, 0), content.x.length - 1);
      this.plot.setAttribute("aria-valuemax", content.x.length);
      this.draw();
    }

    draw() {
      if (!this.content) return;
      const { x, series, xName, yName, log, xLog, whole, share } = this.content;
      this.width = Math.max(this.plot.clientWidth || this.figure.clientWidth - 34 || 600, 260);
      const height = this.points ? 300 : 260, left = 52, right = 12, top = 22, bottom = 40;
      const visible = series.map((values, m) => this.of.hidden.has(m) ? [] : values);
      const all = visible.flat().filter(known), positive = all.filter((value) => value > 0);
      const useLog = log && positive.length > 0;
      let low = Math.min(...(useLog ? positive : all)), high = Math.max(...all);
      if (!all.length) { low = 0; high = 1; }
      if (share) { low = 0; high = 1; }
      else if (useLog) { low /= 1.15; high *= 1.15; }
      else { const pad = (high - low) * 0.06; high += pad; low = this.of.metric().lower ? 0 : low - pad; }
      this.ys = scale(low, high, height - bottom, top, { log: useLog });
      this.xs = scale(x[0], x[x.length - 1], left + 6, this.width - right - 6, { log: xLog, whole, count: this.width / 90 });
      const part = (tag, attributes, ...children) => element(`svg:${tag}`, attributes, ...children);
      const round = (value) => Math.round(value * 10) / 10;
      this.plot.setAttribute("viewBox", `0 0 ${this.width} ${height}`);
      this.plot.replaceChildren();
      for (const [value, label] of this.ys.ticks) {
        const y = round(this.ys.place(value));
        this.plot.append(part("line", { class: "grid", x1: left, x2: this.width - right, y1: y, y2: y }),
          part("text", { x: left - 7, y: y + 4, "text-anchor": "end" }, share ? `${Math.round(value * 100)} %` : label));
      }
      for (const [value, label] of this.xs.ticks) {
        const place = round(this.xs.place(value));
        this.plot.append(part("text", { x: place, y: height - bottom + 18, "text-anchor": "middle" }, label));
      }
      this.plot.append(part("text", { x: 2, y: 12 }, yName),
        part("text", { x: (left + this.width - right) / 2, y: height - 5, "text-anchor": "middle" }, xName));
      visible.forEach((values, m) => {
        let path = "", pen = false;
        const places = values.map((value, i) => known(value) ? `${round(this.xs.place(x[i]))} ${round(this.ys.place(value))}` : null);
        for (const place of places) {
          if (place === null) pen = false;
          else if (this.points) path += `M${place}h0`;
          else { path += `${pen ? "L" : "M"}${place}`; pen = true; }
        }
        if (!path) return;
        const size = x.length > 200 ? 3.5 : x.length > 60 ? 5 : 9;
        this.plot.append(this.points
          ? part("path", { class: `points m${this.color(m)}`, d: path, "stroke-width": size })
          : part("path", { class: `series m${this.color(m)}`, d: path, "stroke-dasharray": DASHES[this.color(m)] }));
        if (!this.points && x.length <= 60) this.plot.append(part("path", { class: `points m${this.color(m)}`, d: places.filter(known).map((place) => `M${place}h0`).join(""), "stroke-width": 5 }));
      });
      this.cursor = part("g", { "aria-hidden": "true" });
      this.plot.append(this.cursor);
      this.top = top; this.base = height - bottom;
      this.moveTo(this.at);
    }

    nearest(event) {
      const box = this.plot.getBoundingClientRect();
      const wanted = (event.clientX - box.left) * this.width / box.width;
      let best = 0, distance = Infinity;
      this.content.x.forEach((value, i) => {
        const d = Math.abs(this.xs.place(value) - wanted);
        if (d < distance) { distance = d; best = i; }
      });
      return best;
    }

    moveTo(i) {
      this.at = i;
      const { x, series, describe, share } = this.content, place = this.xs.place(x[i]);
      this.cursor.replaceChildren(element("svg:line", { class: "cursor", x1: place, x2: place, y1: this.top, y2: this.base }));
      const said = [];
      series.forEach((values, m) => {
        const shown = !this.of.hidden.has(m), { button, value } = this.values[m];
        const label = share ? `${(100 * values[i]).toFixed(1)} %` : text(values[i], this.of.metric().digits);
        value.textContent = label;
        button.setAttribute("aria-pressed", String(shown));
        if (!shown) return;
        said.push(`${this.of.methods[m].label} ${label}`);
        if (known(values[i])) this.cursor.append(element("svg:circle", { class: `mark m${this.color(m)}`, cx: place, cy: this.ys.place(values[i]), r: 5 }));
      });
      this.where.textContent = describe(i);
      this.plot.setAttribute("aria-valuenow", i + 1);
      this.plot.setAttribute("aria-valuetext", `${describe(i)}: ${said.join(", ")}`);
    }

    key(event) {
      const last = this.content.x.length - 1, page = Math.max(2, Math.round(last / 10));
      const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -page, PageUp: page, Home: -last, End: last };
      if (event.key in steps) this.moveTo(Math.min(Math.max(this.at + steps[event.key], 0), last));
      else if ((event.key === "Enter" || event.key === " ") && this.pick) this.pick(this.at);
      else return;
      event.preventDefault();
    }
  }

  // ---- what the three charts show ---------------------------------------------------------------------------------

  let clipOrder = [];

  function drawClips() {
    const means = data.clips.map((clip) => clip.scores.map((method) => mean(method[state.metric])));
    const worse = metric().lower ? 1 : -1, own = data.result;
    const badness = {
      list: () => 0,
      error: (c) => known(means[c][own]) ? worse * means[c][own] : -Infinity,
      gain: (c) => known(means[c][own]) && known(means[c][data.input]) ? worse * (means[c][own] - means[c][data.input]) : -Infinity,
    }[state.order];
    clipOrder = data.clips.map((_, c) => c).sort((a, b) => (badness(b) - badness(a)) || a - b);
    charts.clips.show({
      x: clipOrder.map((_, i) => i + 1), whole: true, log: state.log, yName: metric().label, xName: "clips, ordered",
      series: data.methods.map((_, m) => clipOrder.map((c) => means[c][m])),
      describe: (i) => data.clips[clipOrder[i]].name,
    }, clipOrder.indexOf(state.clip));
  }

  function drawFrames(at = 0) {
    const clip = data.clips[state.clip];
    charts.frames.show({
      x: clip.numbers, whole: true, log: state.log, yName: metric().label, xName: "frame number",
      series: clip.scores.map((method) => method[state.metric]),
      describe: (i) => `${clip.name}, frame ${clip.numbers[i]}`,
    }, at);
  }

  function drawShare() {
    const sorted = data.methods.map((_, m) => data.clips.flatMap((clip) => clip.scores[m][state.metric]).filter(known).sort((a, b) => a - b));
    const all = sorted.flat();
    if (!all.length) return charts.share.show({ x: [0, 1], series: data.methods.map(() => [null, null]), describe: () => "no values", xName: "", yName: "", share: true });
    let low = Infinity, high = -Infinity, smallest = Infinity;
    for (const value of all) { low = Math.min(low, value); high = Math.max(high, value); if (value > 0) smallest = Math.min(smallest, value); }
    const log = state.log && smallest < Infinity, points = 200;
    if (log) low = smallest;
    const x = Array.from({ length: points + 1 }, (_, i) => log ? low * (high / low) ** (i / points) : low + (high - low) * i / points);
    x[points] = high;
    const share = (values, limit) => {  // how many are <= limit (or >= it), by bisection
      let a = 0, b = values.length;
      while (a < b) { const middle = (a + b) >> 1; (metric().lower ? values[middle] <= limit : values[middle] < limit) ? a = middle + 1 : b = middle; }
      return values.length ? (metric().lower ? a : values.length - a) / values.length : null;
    };
    charts.share.show({
      x, xLog: log, share: true, yName: "share of frames", xName: metric().label,
      series: sorted.map((values) => x.map((limit) => share(values, limit))),
      describe: (i) => `${metric().label} ${metric().lower ? "≤" : "≥"} ${text(x[i])}`,
    }, points >> 1);
  }

  function drawAll() { drawClips(); drawFrames(charts.frames.at); drawShare(); }

  function chooseClip(c, frame = 0) {
    state.clip = c;
    byId("clip").value = c;
    drawFrames(frame);
    charts.clips.moveTo(clipOrder.indexOf(c));
  }

  document.querySelectorAll(".controls, .charts, .show").forEach((part) => { part.hidden = false; });
  const charts = {
    clips: new Chart("chart-clips", { name: "Mean of every clip", points: true, pick: (i) => chooseClip(clipOrder[i]) }),
    frames: new Chart("chart-frames", { name: "Frames of one clip" }),
    share: new Chart("chart-share", { name: "Distribution over all frames" }),
  };
  byId("metric").append(...data.metrics.map((m, i) => element("option", { value: i }, `${m.label} ${m.lower ? "↓" : "↑"}`)));
  byId("clip").append(...data.clips.map((clip, i) => element("option", { value: i }, clip.name)));
  if (data.input === null) byId("order").querySelector("[value=gain]").remove();
  byId("metric").value = state.metric;
  byId("log").checked = state.log;
  byId("metric").addEventListener("change", (event) => {
    state.metric = Number(event.target.value);
    state.log = byId("log").checked = metric().log;
    drawAll();
  });
  byId("log").addEventListener("change", (event) => { state.log = event.target.checked; drawAll(); });
  byId("order").addEventListener("change", (event) => { state.order = event.target.value; drawClips(); });
  byId("clip").addEventListener("change", (event) => chooseClip(Number(event.target.value)));
  document.querySelectorAll(".show").forEach((button) => button.addEventListener("click", () => {
    chooseClip(Number(button.dataset.clip), Number(button.dataset.frame));
    byId("chart-frames").scrollIntoView({ block: "center" });
    charts.frames.plot.focus({ preventScroll: true });
  }));
  drawClips();
  state.clip = clipOrder[0];
  byId("clip").value = state.clip;
  charts.clips.moveTo(0);
  drawFrames();
  drawShare();

  // ---- over time ------------------------------------------------------------------------------------------------

  function overTime() {
    if (!data.over_time.length) return;
    let source = data.over_time[0], measure = 0, clip = 0;
    const of = { methods: source.methods, hidden: new Set(), metric: () => source.measures[measure], redraw: () => draw() };
    const frames = new Chart("chart-time", { name: "Measure over time in one clip, per method", of });
    const clips = new Chart("chart-time-clips", { name: "Mean over time of every clip, per method", points: true, of, pick: (i) => choose(i) });
    const options = (id, labels) => byId(id).replaceChildren(...labels.map((label, i) => element("option", { value: i }, label)));

    function draw() {
      const log = byId("time-log").checked, name = of.metric().label;
      const { numbers, values, name: title } = source.clips[clip];
      frames.show({
        x: numbers, whole: true, log, yName: name, xName: "frame number",
        series: values.map((method) => method[measure]), describe: (i) => `${title}, frame ${numbers[i]}`,
      });
      clips.show({
        x: source.clips.map((_, i) => i + 1), whole: true, log, yName: name, xName: "clips, as listed",
        series: source.methods.map((_, m) => source.clips.map((one) => mean(one.values[m][measure]))),
        describe: (i) => source.clips[i].name,
      }, clip);
    }
    function choose(i) { clip = i; byId("time-clip").value = i; draw(); }
    function begin(i) {
      source = data.over_time[i];
      of.methods = source.methods;
      of.hidden.clear();
      measure = clip = 0;
      options("time-measure", source.measures.map((one) => one.label));
      options("time-clip", source.clips.map((one) => one.name));
      // The first frame has nothing before it: begin at the second.
      for (const chart of [frames, clips]) { chart.name_methods(); chart.at = 1; }
      draw();
    }
    options("time-source", data.over_time.map((one) => one.label));
    byId("time-source").addEventListener("change", (event) => begin(Number(event.target.value)));
    byId("time-measure").addEventListener("change", (event) => { measure = Number(event.target.value); draw(); });
    byId("time-clip").addEventListener("change", (event) => choose(Number(event.target.value)));
    byId("time-log").addEventListener("change", draw);
    begin(0);
  }
  overTime();

  // ---- pictures ---------------------------------------------------------------------------------------------------

  const viewer = byId("viewer"), large = viewer.querySelector("img"), caption = viewer.querySelector("output");
  let row = [], position = 0;
  function look(step) {
    position = (position + step + row.length) % row.length;
    large.src = row[position].src;
    large.alt = row[position].alt;
    caption.textContent = row[position].closest("figure").querySelector("figcaption").textContent;
  }
  function open(picture) {
    row = [...picture.closest(".pictures").querySelectorAll("img")];
    position = row.indexOf(picture);
    look(0);
    viewer.showModal();
  }
  document.querySelectorAll(".pictures img").forEach((picture) => {
    picture.tabIndex = 0;
    picture.setAttribute("role", "button");
    picture.addEventListener("click", () => open(picture));
    picture.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(picture); }
    });
  });
  viewer.querySelectorAll("[data-step]").forEach((button) => button.addEventListener("click", () => look(Number(button.dataset.step))));
  viewer.querySelector("[data-close]").addEventListener("click", () => viewer.close());
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
  viewer.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") { look(event.key === "ArrowLeft" ? -1 : 1); event.preventDefault(); }
  });
})();
