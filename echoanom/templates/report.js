// What moves in a report: the time shown, the event chosen, and what a reader marks.
//
// Bokeh draws; this fills its data sources. Numbers come packed in the page, as base64
// of zlib streams, and are unpacked when they are first drawn. All texts from outside
// become text nodes or attributes, never markup. Times here are seconds since 1970 UTC;
// those of Bokeh are milliseconds.
"use strict";

const report = (() => {
  const DAY = 86400;
  const MOST_FINE_STEPS = 3000; // More than this, and the coarse steps are drawn.
  const MOST_POINTS = 4000;
  const PARTS = ["original", "reproduced", "difference"];
  const VERDICTS = ["real", "false", "unsure"];

  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("report-data").textContent);
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const events = new Map(data.events.map((event) => [event.rank, event]));
  const state = { start: data.start, end: data.end, chosen: null, marks: readMarks() };
  const models = new Map(); // name of a Bokeh model -> model
  let whole; // promise of the figures that are not seen at once
  let pointer = { x: 0, y: 0 };

  // ---- numbers -----------------------------------------------------------------

  const unpacked = new Map(); // id -> promise, then typed array

  function unpack(id, Type) {
    if (!unpacked.has(id)) {
      const text = atob(byId(id).textContent);
      const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
      const promise = new Response(stream).arrayBuffer().then((buffer) => {
        unpacked.set(id, new Type(buffer));
        return unpacked.get(id);
      });
      unpacked.set(id, promise);
    }
    return unpacked.get(id);
  }

  // What is there already; if it is not, draw again when it is.
  function ready(id, Type) {
    const found = unpack(id, Type);
    if (!(found instanceof Promise)) return found;
    found.then(schedule);
    return null;
  }

  function decode(code, codes) {
    if (code === 0) return NaN;
    return codes[0] + ((code - 1) / 254) * (codes[1] - codes[0]);
  }

  function lookUp(codes, limits, palette) {
    const colours = new Uint32Array(256); // Code 0, a missing value, stays transparent.
    const last = palette.length - 1;
    for (let code = 1; code < 256; code++) {
      const place = (decode(code, codes) - limits[0]) / (limits[1] - limits[0]);
      const hex = parseInt(palette[clamp(Math.round(place * last), 0, last)].slice(1), 16);
      colours[code] =
        (0xff000000 | ((hex & 0xff) << 16) | (hex & 0xff00) | (hex >> 16)) >>> 0;
    }
    return colours;
  }

  // ---- texts ---------------------------------------------------------------------

  function stamp(seconds) {
    return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
  }

  function clock(seconds) {
    return stamp(seconds).replace("T", " ").replace(/(:00)?Z$/, "");
  }

  function number(value, digits = 4) {
    return String(Number(value.toPrecision(digits))).replace("-", "−");
  }

  function withUnit(text, unit) {
    return unit ? `${text} ${unit}` : text;
  }

  function percent(share) {
    return `${(100 * share).toFixed(share >= 0.1 ? 0 : 1)} %`;
  }

  // ---- drawing -------------------------------------------------------------------

  function source(name) {
    return models.get(name);
  }

  function setImage(name, values, columns, rows, place) {
    const one = source(`${name}:image`);
    const NDArray = one.get_column("image")[0].constructor;
    one.data = {
      image: [new NDArray(values, [rows, columns])],
      x: [place.x],
      y: [place.y],
      dw: [place.dw],
      dh: [place.dh],
    };
  }

  function paint(codes, first, last, rows, colours) {
    const columns = last - first;
    const pixels = new Uint32Array(columns * rows);
    for (let column = 0; column < columns; column++) {
      const begin = (first + column) * rows;
      for (let row = 0; row < rows; row++) {
        pixels[row * columns + column] = colours[codes[begin + row]];
      }
    }
    return pixels;
  }

  // Strips of time in which there is something, so that the hatched ground shows the rest.
  function strips(known, first, last, start, step) {
    const found = { x0: [], x1: [] };
    for (let at = first; at < last; at++) {
      if (!known(at)) continue;
      const begin = at;
      while (at < last && known(at)) at++;
      found.x0.push((start + begin * step) * 1000);
      found.x1.push((start + at * step) * 1000);
    }
    return found;
  }

  function setLines(name, values, lines, dots, first, last, start, step) {
    const size = last - first;
    const columns = { x: new Float64Array(size) };
    for (let at = 0; at < size; at++) columns.x[at] = (start + (first + at + 0.5) * step) * 1000;
    for (let line = 0; line < lines; line++) {
      const value = (at) => values[at * lines + line];
      const y = new Float64Array(size);
      const lone = new Float64Array(size).fill(NaN);
      for (let at = first; at < last; at++) {
        y[at - first] = value(at);
        const before = at > first ? value(at - 1) : NaN;
        const after = at + 1 < last ? value(at + 1) : NaN;
        if (dots || (isNaN(before) && isNaN(after))) lone[at - first] = value(at);
      }
      columns[`y${line}`] = y;
      columns[`d${line}`] = lone;
    }
    for (const field of source(`${name}:lines`).columns()) {
      if (!(field in columns)) columns[field] = new Float64Array(size).fill(NaN);
    }
    source(`${name}:lines`).data = columns;
    const some = (at) => {
      for (let line = 0; line < lines; line++) {
        if (!isNaN(values[at * lines + line])) return true;
      }
      return false;
    };
    source(`${name}:known`).data = strips(some, first, last, start, step);
  }

  // The steps to draw for what is shown, with some room on both sides.
  function window_(grid) {
    const room = (state.end - state.start) / 2;
    const first = Math.floor((state.start - room - grid.start) / grid.step);
    const last = Math.ceil((state.end + room - grid.start) / grid.step);
    return [clamp(first, 0, grid.steps), clamp(last, 0, grid.steps)];
  }

  function level() {
    const steps = (state.end - state.start) / data.fine.step;
    return steps <= MOST_FINE_STEPS || data.coarse.step <= data.fine.step ? "fine" : "coarse";
  }

  function panelNumbers(at, wanted) {
    const Type = data.panels[at].image ? Uint8Array : Float32Array;
    const exact = ready(`panel-${at}-${wanted}`, Type);
    if (exact !== null || wanted === "coarse") return [exact, wanted];
    return [ready(`panel-${at}-coarse`, Type), "coarse"];
  }

  function drawPanel(panel, at) {
    const figure = models.get(`panel:${at}`);
    if (figure === undefined || !figure.visible) return;
    const [values, drawn] = panelNumbers(at, level());
    panel.drawn = drawn;
    if (values === null) return;
    const grid = data[drawn];
    const [first, last] = window_(grid);
    if (last <= first) return;
    const key = `${drawn} ${first} ${last}`;
    if (panel.key === key) return;
    panel.key = key;
    if (!panel.image) {
      const dots = panel.kind === "direction";
      setLines(`panel:${at}`, values, panel.names.length, dots, first, last, grid.start, grid.step);
      return;
    }
    panel.lookUp ??= lookUp(panel.codes, panel.limits, panel.palette);
    const rows = panel.centres.length;
    setImage(`panel:${at}`, paint(values, first, last, rows, panel.lookUp), last - first, rows, {
      x: (grid.start + first * grid.step) * 1000,
      dw: (last - first) * grid.step * 1000,
      y: panel.low,
      dh: panel.high - panel.low,
    });
  }

  function drawScore() {
    const values = ready("score", Float32Array);
    if (values === null) return;
    const grid = data.score;
    const [first, last] = window_(grid);
    const size = Math.max(1, Math.ceil((last - first) / MOST_POINTS));
    const x = [];
    const y = [];
    for (let at = first; at < last; at += size) {
      let highest = NaN;
      for (let one = at; one < Math.min(at + size, last); one++) {
        if (!(values[one] <= highest) && !isNaN(values[one])) highest = values[one];
      }
      x.push((grid.start + at * grid.step) * 1000);
      y.push(highest);
    }
    x.push((grid.start + last * grid.step) * 1000);
    y.push(y.length ? y[y.length - 1] : NaN);
    source("score:line").data = { x, y };
    const known = (at) => !isNaN(values[at]);
    source("score:known").data = strips(known, first, last, grid.start, grid.step);
    drawRanks();
  }

  function drawRanks() {
    const room = 0.016 * (state.end - state.start);
    const taken = [];
    const ranks = { x: [], y: [], text: [] };
    for (const event of data.events) {
      const middle = (event.start + event.end) / 2;
      const shown = middle >= state.start && middle <= state.end;
      if (!shown || taken.some((other) => Math.abs(other - middle) < room)) continue;
      taken.push(middle);
      ranks.x.push(middle * 1000);
      ranks.y.push(models.get("score").y_range.end);
      ranks.text.push(String(event.rank));
    }
    source("score:ranks").data = ranks;
  }

  function drawEvents() {
    const strip = (list) => ({
      x0: list.map((event) => event.start * 1000),
      x1: list.map((event) => event.end * 1000),
    });
    const all = strip(data.events);
    const chosen = strip(data.events.filter((event) => event.rank === state.chosen));
    for (const name of ["score", ...data.panels.map((_, at) => `panel:${at}`)]) {
      if (!models.has(`${name}:events`)) continue;
      source(`${name}:events`).data = all;
      source(`${name}:chosen`).data = chosen;
    }
  }

  let waiting = false;
  function schedule() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      drawScore();
      data.panels.forEach(drawPanel);
      byId("when").textContent = `${clock(state.start)} to ${clock(state.end)}`;
      const day = oneDay();
      for (const cell of document.querySelectorAll("[data-day]")) {
        cell.classList.toggle("shown", Number(cell.dataset.day) === day);
      }
    });
  }

  // ---- what is shown ---------------------------------------------------------------

  function show(start, end) {
    const least = 2 * data.period;
    const span = clamp(end - start, least, data.end - data.start);
    state.start = clamp(start, data.start, data.end - span);
    state.end = state.start + span;
    models.get("time").setv({ start: state.start * 1000, end: state.end * 1000 });
    schedule();
  }

  function showDay(day) {
    show(day, day + DAY);
  }

  function showAll() {
    show(data.start, data.end);
  }

  function oneDay() {
    const middle = (state.start + state.end) / 2;
    return state.end - state.start <= DAY ? Math.floor(middle / DAY) * DAY : null;
  }

  // Days with rows only; from the whole time, the first or the last of them.
  function flip(forward) {
    const day = oneDay();
    const days = data.days;
    if (day === null) {
      showDay(days[forward ? 0 : days.length - 1]);
      return;
    }
    const next = forward
      ? days.find((one) => one > day)
      : days.filter((one) => one < day).pop();
    if (next !== undefined) showDay(next);
  }

  function zoom(factor) {
    const middle = (state.start + state.end) / 2;
    const half = ((state.end - state.start) / 2) * factor;
    show(middle - half, middle + half);
  }

  // ---- one event -------------------------------------------------------------------

  function choose(rank, scroll = true) {
    const event = events.get(rank);
    if (event === undefined) return;
    if (!models.has("detail:time")) {
      whole.then(() => choose(rank, scroll));
      return;
    }
    state.chosen = rank;
    const room = Math.max(event.end - event.start, 30 * data.period);
    show(event.start - room, event.end + room);
    drawEvents();
    byId("chosen").hidden = false;
    byId("chosen-name").textContent =
      `Event ${rank}: ${clock(event.start)} to ${clock(event.end)}`;
    byId("chosen-facts").textContent = event.facts;
    fillShares("chosen-sensors", event.sensors);
    fillShares("chosen-where", event.where);
    const none = event.detail === null;
    byId("chosen-none").hidden = !none;
    byId("chosen-none").textContent = event.why;
    byId("live-detail").hidden = none;
    for (const row of document.querySelectorAll("tr[data-rank]")) {
      row.classList.toggle("chosen", Number(row.dataset.rank) === rank);
    }
    drawVerdicts();
    if (!none) event.detail.forEach((part, place) => drawDetail(event, part, place));
    for (let place = none ? 0 : event.detail.length; place < data.detail_rows; place++) {
      for (const kind of PARTS) models.get(`detail:${place}:${kind}`).visible = false;
    }
    if (scroll) byId("chosen").scrollIntoView({ block: "start" });
  }

  function fillShares(id, shares) {
    byId(id).replaceChildren(
      ...shares.map(([name, share]) => {
        const item = document.createElement("li");
        const bar = document.createElement("span");
        bar.className = "bar";
        bar.style.setProperty("--share", `${100 * share}%`);
        const text = document.createElement("span");
        text.className = "share";
        text.textContent = percent(share);
        item.append(bar, text, document.createTextNode(name));
        return item;
      }),
    );
  }

  async function drawDetail(event, part, place) {
    const panel = data.panels[part.panel];
    const Type = panel.image ? Uint8Array : Float32Array;
    const parts = await Promise.all(
      PARTS.map((kind) => unpack(`event-${event.rank}-${place}-${kind}`, Type)),
    );
    if (state.chosen !== event.rank) return;
    const end = part.start + part.rows * data.period;
    models.get("detail:time").setv({ start: part.start * 1000, end: end * 1000 });
    PARTS.forEach((kind, at) => drawPart(event, part, place, panel, kind, parts[at]));
  }

  function drawPart(event, part, place, panel, kind, values) {
    const name = `detail:${place}:${kind}`;
    const figure = models.get(name);
    const difference = kind === "difference";
    figure.visible = true;
    figure.title.text = {
      original: `Original: ${panel.sensor}, ${panel.label}`,
      reproduced: "Reconstruction",
      difference: withUnit("Original − reconstruction", part.unit ? `(${part.unit})` : ""),
    }[kind];
    figure.left[0].axis_label = panel.image && kind === "original" ? panel.axis : null;
    source(`${name}:events`).data = { x0: [event.start * 1000], x1: [event.end * 1000] };
    const bar = models.get(`${name}:bar`);
    bar.visible = panel.image && kind !== "original";
    const ends = panel.down ? [panel.high, panel.low] : [panel.low, panel.high];
    if (!panel.image) {
      const limits = difference ? part.limits : part.ends;
      figure.y_range.setv({ start: limits[0], end: limits[1] });
      setImage(name, new Uint32Array(1), 1, 1, { x: 0, y: 0, dw: 1, dh: 1 });
      const dots = panel.kind === "direction";
      setLines(name, values, panel.names.length, dots, 0, part.rows, part.start, data.period);
      return;
    }
    figure.y_range.setv({ start: ends[0], end: ends[1] });
    setLines(name, new Float32Array(0), 0, false, 0, 0, part.start, data.period);
    const codes = difference ? part.limits : panel.codes;
    const limits = difference ? part.limits : panel.limits;
    const palette = difference ? data.difference_palette : panel.palette;
    models.get(`${name}:map`).setv({ palette, low: limits[0], high: limits[1] });
    const rows = panel.centres.length;
    const pixels = paint(values, 0, part.rows, rows, lookUp(codes, limits, palette));
    setImage(name, pixels, part.rows, rows, {
      x: part.start * 1000,
      dw: part.rows * data.period * 1000,
      y: panel.low,
      dh: panel.high - panel.low,
    });
  }

  // ---- what is under the pointer -----------------------------------------------------

  function scoreAt(time) {
    const values = unpacked.get("score");
    const at = Math.floor((time - data.score.start) / data.score.step);
    return ArrayBuffer.isView(values) && at >= 0 && at < data.score.steps ? values[at] : NaN;
  }

  function rowAt(panel, y) {
    const place = panel.log
      ? Math.log(y / panel.low) / Math.log(panel.high / panel.low)
      : (y - panel.low) / (panel.high - panel.low);
    const rows = panel.centres.length;
    return clamp(Math.floor(place * rows), 0, rows - 1);
  }

  function imageLines(panel, value, y) {
    const axis = panel.axis.replace(/ \(.*/, "");
    const place = number(panel.centres[rowAt(panel, y)]);
    return [
      [axis, withUnit(place, panel.axis_unit)],
      [panel.label.replace(/ \(.*/, ""), value],
    ];
  }

  function coded(code, codes, unit) {
    if (code === 0 || code === undefined) return "missing";
    const text = withUnit(number(decode(code, codes)), unit);
    return code === 1 ? `${text} or less` : code === 255 ? `${text} or more` : text;
  }

  function measured(value, unit) {
    return value === undefined || isNaN(value) ? "missing" : withUnit(number(value, 6), unit);
  }

  function panelLines(at, time, y) {
    const panel = data.panels[at];
    const values = unpacked.get(`panel-${at}-${panel.drawn}`);
    if (!ArrayBuffer.isView(values)) return [];
    const grid = data[panel.drawn];
    const step = Math.floor((time - grid.start) / grid.step);
    if (panel.image) {
      const rows = panel.centres.length;
      const code = values[step * rows + rowAt(panel, y)];
      return imageLines(panel, coded(code, panel.codes, panel.unit), y);
    }
    const lines = panel.names.length;
    return panel.names.map((name, line) => [
      lines === 1 ? panel.label.replace(/ \(.*/, "") : name,
      measured(values[step * lines + line], panel.unit),
    ]);
  }

  function detailLines(place, kind, time, y) {
    const event = events.get(state.chosen);
    const part = event?.detail?.[place];
    const values = unpacked.get(`event-${event?.rank}-${place}-${kind}`);
    if (!part || !ArrayBuffer.isView(values)) return [];
    const panel = data.panels[part.panel];
    const step = Math.floor((time - part.start) / data.period);
    if (step < 0 || step >= part.rows) return [];
    const unit = kind === "difference" ? part.unit : panel.unit;
    if (panel.image) {
      const code = values[step * panel.centres.length + rowAt(panel, y)];
      const codes = kind === "difference" ? part.limits : panel.codes;
      return imageLines(panel, coded(code, codes, unit), y);
    }
    return panel.names.map((name, line) => [
      name,
      measured(values[step * panel.names.length + line], unit),
    ]);
  }

  function hover(name, at) {
    const time = at.x / 1000;
    const [family, place, kind] = name.split(":");
    let lines = [];
    if (family === "panel") lines = panelLines(Number(place), time, at.y);
    if (family === "detail") lines = detailLines(Number(place), kind, time, at.y);
    const score = scoreAt(time);
    const inside = data.events.find((event) => event.start <= time && time < event.end);
    lines = [
      ["Time", `${clock(Math.floor(time / data.period) * data.period)} UTC`],
      ...lines,
      ["Score", isNaN(score) ? "none" : number(score)],
      ...(inside ? [["Event", String(inside.rank)]] : []),
    ];
    const tip = byId("tip");
    tip.replaceChildren(
      ...lines.flatMap(([key, value]) => {
        const term = document.createElement("dt");
        const entry = document.createElement("dd");
        term.textContent = key;
        entry.textContent = value;
        return [term, entry];
      }),
    );
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    const left = pointer.x + 18 + width > innerWidth ? pointer.x - width - 14 : pointer.x + 18;
    tip.style.left = `${Math.max(0, left)}px`;
    tip.style.top = `${clamp(pointer.y + 14, 0, innerHeight - height)}px`;
  }

  function tap(at) {
    const time = at.x / 1000;
    const reach = (state.end - state.start) / 150;
    const distance = (event) =>
      Math.max(0, event.start - time, time - event.end);
    const near = data.events.filter((event) => distance(event) <= reach);
    near.sort((a, b) => distance(a) - distance(b) || a.rank - b.rank);
    if (near.length) choose(near[0].rank);
  }

  // ---- marks -----------------------------------------------------------------------

  function readMarks() {
    try {
      return JSON.parse(localStorage.getItem(data.key)) ?? {};
    } catch {
      return {}; // Some browsers keep nothing for files.
    }
  }

  function mark(rank, verdict) {
    if (state.marks[rank] === verdict) delete state.marks[rank];
    else state.marks[rank] = verdict;
    try {
      localStorage.setItem(data.key, JSON.stringify(state.marks));
    } catch {
      // Then they last until the page is closed.
    }
    drawVerdicts();
  }

  function drawVerdicts() {
    for (const button of document.querySelectorAll("button[data-verdict]")) {
      const rank = Number(button.closest("[data-rank]")?.dataset.rank ?? state.chosen);
      const pressed = state.marks[rank] === button.dataset.verdict;
      button.setAttribute("aria-pressed", String(pressed));
    }
    const given = Object.values(state.marks);
    byId("marked").textContent = `${given.length} of ${data.events.length} marked`;
    byId("save").disabled = !chosenLabels().length;
  }

  function chosenLabels() {
    const wanted = VERDICTS.filter((verdict) => byId(`save-${verdict}`).checked);
    return data.events
      .filter((event) => wanted.includes(state.marks[event.rank]))
      .sort((a, b) => a.start - b.start);
  }

  function quoted(text) {
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  function labels() {
    const lines = chosenLabels().map((event) =>
      [
        stamp(event.start),
        stamp(event.end),
        quoted(event.sensors.length ? event.sensors[0][0] : ""),
        state.marks[event.rank],
      ].join(","),
    );
    return ["start,end,sensor,kind", ...lines].join("\n") + "\n";
  }

  function save() {
    const link = document.createElement("a");
    const blob = new Blob([labels()], { type: "text/csv" });
    link.href = URL.createObjectURL(blob);
    link.download = "labels.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  // ---- hands -----------------------------------------------------------------------

  function step(by) {
    const ranks = [...events.keys()];
    const at = ranks.indexOf(state.chosen);
    const next = at < 0 ? (by > 0 ? 0 : ranks.length - 1) : at + by;
    if (next >= 0 && next < ranks.length) choose(ranks[next]);
  }

  const ACTIONS = {
    back: () => flip(false),
    on: () => flip(true),
    all: showAll,
    in: () => zoom(0.5),
    out: () => zoom(2),
    "event-back": () => step(-1),
    "event-on": () => step(1),
    save,
  };
  const KEYS = {
    ArrowLeft: ACTIONS.back,
    ArrowRight: ACTIONS.on,
    Home: ACTIONS.all,
    "+": ACTIONS.in,
    "-": ACTIONS.out,
    p: ACTIONS["event-back"],
    n: ACTIONS["event-on"],
    r: () => state.chosen !== null && mark(state.chosen, "real"),
    f: () => state.chosen !== null && mark(state.chosen, "false"),
    u: () => state.chosen !== null && mark(state.chosen, "unsure"),
  };

  function listen() {
    document.addEventListener("click", (click) => {
      const button = click.target.closest("button");
      if (button === null) return;
      const { action, day, event, verdict } = button.dataset;
      if (action !== undefined) ACTIONS[action]();
      if (day !== undefined) {
        showDay(Number(day));
        byId("overview").scrollIntoView({ block: "start" });
      }
      if (event !== undefined) choose(Number(event));
      if (verdict !== undefined) {
        mark(Number(button.closest("[data-rank]")?.dataset.rank ?? state.chosen), verdict);
      }
    });
    document.addEventListener("keydown", (key) => {
      if (key.ctrlKey || key.metaKey || key.altKey) return;
      if (key.target.closest("select, textarea, input:not([type=checkbox])")) return;
      if (!(key.key in KEYS)) return;
      key.preventDefault();
      KEYS[key.key]();
    });
    document.addEventListener("change", (change) => {
      const { sensor } = change.target.dataset;
      if (sensor !== undefined) {
        data.panels.forEach((panel, at) => {
          const figure = models.get(`panel:${at}`);
          if (figure && panel.sensor === sensor) figure.visible = change.target.checked;
        });
        schedule();
      }
      drawVerdicts();
    });
    document.addEventListener(
      "pointermove",
      (move) => {
        pointer = { x: move.clientX, y: move.clientY };
      },
      { capture: true, passive: true },
    );
    document.addEventListener("scroll", () => (byId("tip").hidden = true), { passive: true });
    const time = models.get("time");
    time.on_change([time.properties.start, time.properties.end], () => {
      state.start = time.start / 1000;
      state.end = time.end / 1000;
      schedule();
    });
  }

  // Draw a set of figures, and listen to them.
  async function embed({ docs, items }) {
    await Bokeh.embed.embed_items(docs, items);
    const made = Bokeh.documents[Bokeh.documents.length - 1];
    for (const model of made.all_models) {
      const { name } = model;
      if (!name) continue;
      models.set(name, model);
      if (!/^(score|panel:\d+|detail:\d+:[a-z]+)$/.test(name)) continue;
      model.on_event("mousemove", (at) => hover(name, at));
      model.on_event("mouseleave", () => (byId("tip").hidden = true));
      if (!name.startsWith("detail")) model.on_event("tap", tap);
    }
  }

  async function open() {
    document.documentElement.classList.add("live");
    try {
      const [first, then] = JSON.parse(byId("report-figures").textContent);
      await embed(first);
      listen();
      drawEvents();
      drawVerdicts();
      schedule();
      performance.mark("ready");
      document.documentElement.dataset.ready = "true";
      const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      whole = painted()
        .then(() => embed(then))
        .then(() => {
          byId("live-detail").hidden = true;
          document.documentElement.dataset.whole = "true";
        });
      await whole;
    } catch (error) {
      // What cannot move is shown as pictures.
      document.documentElement.classList.remove("live");
      throw error;
    }
  }

  return { open, labels, state };
})();

report.open();
