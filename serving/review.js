"use strict";
(() => {
  // Text from the log only ever becomes text: nodes are built one by one, and no markup is read.
  const D = JSON.parse(document.getElementById("data").textContent);
  const el = (id) => document.getElementById(id);
  const make = (tag, set = {}, ...inside) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(set)) {
      if (name === "class") node.className = value;
      else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== null && value !== undefined) node.setAttribute(name, value);
    }
    node.append(...inside.filter((each) => each !== null && each !== ""));
    return node;
  };
  const SIGN = { confirmed: "✔ confirmed", cleared: "○ cleared", unsure: "? unsure", open: "open" };
  const WORDS = ["confirmed", "cleared", "unsure"];
  const count = (n) => n.toLocaleString("en-GB");

  // --- What was said, kept between visits -------------------------------------------------------------------------
  const STORE = `peculiar-review-${D.key}`, WHO = "peculiar-reviewer";
  const framed = window !== window.top;  // MLflow's preview lets no file be saved
  let keeps = true, unsaved = false;
  const recall = (name) => { try { return localStorage.getItem(name); } catch { keeps = false; return null; } };
  const keep = (name, value) => { try { localStorage.setItem(name, value); keeps = true; } catch { keeps = false; } };
  const said = (() => { try { return new Map(Object.entries(JSON.parse(recall(STORE) || "{}"))); } catch { return new Map(); } })();
  const keyOf = (lead) => [lead.e, lead.s, lead.a, lead.v].join("\t");
  const wordOf = (lead) => said.get(keyOf(lead))?.verdict || "open";
  const remember = (lead, change) => {
    const entry = { verdict: "", by: "", at: "", note: "", ...said.get(keyOf(lead)), ...change };
    if (entry.verdict || entry.note) said.set(keyOf(lead), entry); else said.delete(keyOf(lead));
    keep(STORE, JSON.stringify(Object.fromEntries(said)));
    unsaved = true;
  };
  el("reviewer").value = recall(WHO) || "";
  el("reviewer").addEventListener("change", () => keep(WHO, el("reviewer").value.trim()));
  addEventListener("beforeunload", (event) => { if (unsaved && !keeps) event.preventDefault(); });

  // --- The list ----------------------------------------------------------------------------------------------------
  const rows = [], STEP = 120;
  let shown = [], now = -1, drawn = 0;
  const chip = (word) => make("span", { class: `chip ${word}` }, SIGN[word]);
  const row = (lead, n) => {
    const rank = lead.n === undefined ? "" : lead.r ? "drawn at random" : `no. ${count(lead.n)} of its day`;
    const facts = [lead.d, rank, lead.f, lead.t].filter(Boolean);
    return make("li", { role: "option", id: `row-${n}`, "aria-selected": "false", onclick: () => { choose(n); open(); } },
      make("div", { class: "top" }, make("b", {}, lead.e), chip(wordOf(lead))),
      make("div", { class: "small" }, facts.join(" · ")),
      make("div", { class: "why" }, lead.why.length ? lead.why[0].x : "nothing about it is odd"));
  };
  // Rows are made when they are needed: to lay out a thousand at each key would be felt.
  const rowOf = (n) => rows[n] || (rows[n] = row(D.leads[n], n));
  const end = make("li", { class: "end", role: "presentation" });
  const more = (until) => {
    const upto = Math.max(drawn, Math.min(shown.length, until));
    end.before(...shown.slice(drawn, upto).map(rowOf));
    for (; drawn < upto; drawn += 1) { rows[shown[drawn]].setAttribute("aria-posinset", drawn + 1); rows[shown[drawn]].setAttribute("aria-setsize", shown.length); }
    end.hidden = drawn >= shown.length;
  };
  new IntersectionObserver((seen) => { if (seen.some((each) => each.isIntersecting)) more(drawn + STEP); }).observe(end);
  const words = [];
  const haystack = (n) => {
    if (words[n]) return words[n];
    const lead = D.leads[n], values = new Set();
    for (const [name, codes] of Object.entries(lead.ev.d)) for (const code of codes) if (code >= 0) values.add(D.values[name][code]);
    const text = [lead.e, lead.d, lead.f, lead.t, lead.k, lead.v, ...lead.why.map((why) => why.x), ...values, ...lead.ev.i];
    return (words[n] = text.join("\n").toLowerCase());
  };
  const filter = () => {
    const query = el("q").value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const [family, day, team, state] = ["family", "day", "team", "state"].map((id) => el(id).value);
    shown = [...D.leads.keys()].filter((n) => {
      const lead = D.leads[n];
      return (!family || lead.why.some((why) => why.f === family)) && (!day || lead.d === day) && (!team || lead.t === team)
        && (!state || wordOf(lead) === state) && query.every((word) => haystack(n).includes(word) || (said.get(keyOf(lead))?.note || "").toLowerCase().includes(word));
    });
    drawn = 0;
    el("list").replaceChildren(end);
    more(STEP);
    tell();
    if (shown.includes(now)) more(shown.indexOf(now) + STEP); else if (shown.length) choose(shown[0]);
  };
  const tell = (first = "") => {
    const tally = { confirmed: 0, cleared: 0, unsure: 0 };
    for (const lead of D.leads) if (wordOf(lead) !== "open") tally[wordOf(lead)] += 1;
    const told = WORDS.map((word) => `${count(tally[word])} ${word}`).join(", ");
    const kept = framed ? " A preview inside another page can save nothing: download this file and open it to decide."
      : keeps ? "" : " This browser keeps nothing for this page: save review.csv before you leave.";
    el("status").textContent = `${first ? `${first} ` : ""}${count(shown.length)} of ${count(D.leads.length)} shown; ${told}.${kept}`;
  };
  const choose = (n) => {
    if (now >= 0) rowOf(now).setAttribute("aria-selected", "false");
    now = n;
    more(shown.indexOf(n) + STEP / 2);
    rowOf(n).setAttribute("aria-selected", "true");
    el("list").setAttribute("aria-activedescendant", rows[n].id);
    rows[n].scrollIntoView({ block: "nearest" });
    requestAnimationFrame(draw);
  };
  const step = (by) => {
    if (!shown.length) return;
    const at = shown.indexOf(now);
    choose(shown[Math.max(0, Math.min(shown.length - 1, at + by))]);
  };
  const open = () => { document.body.classList.add("reading"); if (narrow.matches) { draw.done = -1; scrollTo(0, 0); } draw(); };
  const back = () => {
    document.body.classList.remove("reading");
    el("list").focus();
    if (now >= 0) rows[now].scrollIntoView({ block: "nearest" });
  };
  const narrow = matchMedia("(max-width: 760px)");

  // --- One lead ----------------------------------------------------------------------------------------------------
  const draw = () => {
    if (now < 0 || draw.done === now) return;
    draw.done = now;
    const lead = D.leads[now], place = el("lead"), entry = said.get(keyOf(lead));
    const standing = lead.n === undefined ? [] : [lead.r ? "drawn at random, not for its score" : `number ${count(lead.n)} of the ${count(lead.of)} windows of its day, 1 being the oddest`,
      lead.o, `score ${lead.sc.toFixed(2)}${lead.li === null ? "" : ` (the day's alerts begin at ${lead.li.toFixed(2)})`}`];
    const facts = [...standing, lead.t && `team ${lead.t}`, lead.k && `case ${lead.k}`, lead.v && `event ${lead.v}`].filter(Boolean);
    const note = make("input", { id: "note", "aria-label": "Note", placeholder: "note", value: entry?.note || "", oninput: () => remember(lead, { note: note.value }) });
    const buttons = WORDS.map((word) => make("button", { type: "button", class: word, "data-word": word,
      "aria-pressed": String(wordOf(lead) === word), "aria-keyshortcuts": word === "cleared" ? "x" : word[0], onclick: () => decide(word) },
      `${SIGN[word]} `, make("kbd", {}, word === "cleared" ? "x" : word[0])));
    place.replaceChildren(
      make("button", { type: "button", class: "back", onclick: back }, "← Back to the list"),
      make("h2", { tabindex: "-1" }, lead.e), make("p", { class: "facts" }, [lead.w, ...facts].join(" · ")),
      make("div", { class: "decide", role: "group", "aria-label": "Verdict" }, ...buttons, note),
      make("h3", {}, "Why it stands out"),
      lead.why.length ? make("ol", { class: "reasons" }, ...lead.why.map(reason)) : make("p", {}, `${lead.un.charAt(0).toUpperCase()}${lead.un.slice(1)}.`),
      ...history(lead),
      make("h3", {}, "What speaks against suspicion"),
      lead.no.length ? make("ul", { class: "against" }, ...lead.no.map((line) => make("li", {}, line)))
        : make("p", {}, "Nothing that the model knows of; you may know more."),
      ...(lead.ch ? [make("h3", {}, "The smallest change"), make("p", {}, lead.ch)] : []),
      make("h3", {}, "What it did"), ...events(lead));
    place.scrollTop = 0;
  };
  const reason = (why) => {
    const top = Math.max(...why.y.filter((value) => value !== null), 0);
    const side = why.lo ? "99 of 100 at least" : "99 of 100 at most";
    const bar = (kind, label, at) => {
      if (why.y[at] === null) return [];
      const fill = make("i");
      fill.style.width = `${top > 0 ? Math.max(0, (100 * why.y[at]) / top) : 0}%`;
      return [make("span", {}, label), make("div", { class: `track ${kind}`, "aria-hidden": "true" }, fill), make("b", {}, why.z[at])];
    };
    const about = `${why.f}: ${D.families[why.f] || ""} ${why.n}`;
    return make("li", {}, why.x, " ", make("span", { class: "chip open", title: about }, why.f),
      why.q ? make("div", { class: "which" }, why.q) : "",
      why.weak ? make("div", { class: "weak" }, "▲ weak: without these events it would still be an alert") : "",
      make("div", { class: "bars" }, ...bar("seen", "seen", 0), ...bar("own", "own usual", 1), ...bar("all", side, 2)));
  };
  const svg = (tag, set, text) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(set)) node.setAttribute(name, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const dayOf = (first, n) => new Date(Date.parse(`${first}T00:00:00Z`) + n * 864e5).toISOString().slice(0, 10);
  const history = (lead) => {
    const past = lead.h;
    if (!past) return [];
    if (past.y.slice(0, -1).every((value) => value === null)) {
      return [make("h3", {}, "Its own days before"), make("p", {}, `None: it did nothing in the ${past.y.length - 1} days before.`)];
    }
    const [low, high, all] = past.b, [lowText, highText, allText, nowText] = past.z, days = past.y.length;
    const width = Math.max(300, Math.min(860, el("lead").clientWidth - 48)), height = 170, left = 8, top = 22, foot = 20;
    const most = Math.max(...past.y.filter((value) => value !== null), all ?? 0, high ?? 0, 1e-9);
    const x = (n) => left + (n * (width - 2 * left)) / days, y = (value) => top + (height - top - foot) * (1 - Math.max(0, value) / most);
    const own = low === null ? "too few days to say what is usual for it" : `80 of 100 of its own days: ${lowText} to ${highText}`;
    const others = all === null ? "" : `99 of 100 ${D.noun} of everyone: at most ${allText}`;
    const summary = `${past.l}, day by day from ${past.d}: in this window ${nowText}; ${own}; ${others}`;
    const picture = svg("svg", { class: "history", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": summary });
    if (low !== null) picture.append(svg("rect", { class: "band", x: left, width: width - 2 * left, y: y(high), height: Math.max(2, y(low) - y(high)) }));
    past.y.forEach((value, n) => {
      const last = n === days - 1, wide = (width - 2 * left) / days;
      if (value === null) picture.append(svg("circle", { cx: x(n) + wide / 2, cy: y(0) - 3, r: 1.5, class: "bar" }));
      else picture.append(svg("rect", { class: last ? "bar now" : "bar", x: x(n) + 1, width: Math.max(2, wide - 2), y: Math.min(y(value), y(0) - 1), height: Math.max(1, y(0) - y(value)) }));
    });
    picture.append(svg("line", { class: "axis", x1: left, x2: width - left, y1: y(0), y2: y(0) }));
    if (all !== null) picture.append(svg("line", { class: "limit", x1: left, x2: width - left, y1: y(all), y2: y(all) }));
    const value = past.y[days - 1];
    picture.append(svg("text", { class: "now", x: width - left, y: Math.max(14, y(value ?? 0) - 6), "text-anchor": "end" }, nowText));
    picture.append(svg("text", { x: left, y: height - 5 }, past.d));
    picture.append(svg("text", { x: width - left, y: height - 5, "text-anchor": "end" }, lead.d));
    const legend = [`▮ a day, the last bar is this window: ${nowText}`, "• a day without events", low === null ? own : `▒ ${own}`, all === null ? "" : `╌ ${others}`];
    const table = make("details", {}, make("summary", {}, "The same as a table"));
    table.addEventListener("toggle", () => {
      if (table.open && table.children.length === 1) table.append(make("div", { class: "table" }, make("table", {}, make("tr", {}, make("th", {}, "day"), make("th", { class: "number" }, past.l)),
        ...past.y.map((each, n) => make("tr", {}, make("td", {}, dayOf(past.d, n)), make("td", { class: "number" }, each === null ? "" : String(each)))))));
    });
    return [make("h3", {}, `Its own days before: ${past.l}`), picture, make("ul", { class: "legend" }, ...legend.filter(Boolean).map((each) => make("li", {}, each))), table];
  };
  // What holds one value in all events shown is told once: a column that repeats itself hides those that do not.
  const alike = (lead) => {
    const ev = lead.ev, same = {};
    if (ev.t.length < 3) return same;
    for (const name of D.columns.dimensions) {
      const codes = ev.d[name];
      if (codes && codes[0] >= 0 && codes.every((code) => code === codes[0])) same[name] = D.values[name][codes[0]];
    }
    if (ev.w.every((mask) => mask === ev.w[0])) same.reason = lead.why.map((_, at) => at + 1).filter((at) => ev.w[0] & (1 << (at - 1))).join(", ");
    return same;
  };
  const events = (lead) => {
    const ev = lead.ev, begin = Date.parse(`${ev.b}Z`);
    const same = alike(lead);
    const dimensions = D.columns.dimensions.filter((name) => ev.d[name] && !(name in same)), measures = D.columns.measures.filter((name) => ev.m[name]);
    const part = ev.t.length < ev.n ? `; ${count(ev.t.length)} are shown` : "";
    const told = make("p", { class: "facts" }, `${count(ev.n)} events are behind these reasons${part}; the window has ${count(ev.of)}.`);
    if (!ev.t.length) return [told];
    const once = Object.entries(same).map(([name, value]) => `${name} ${value}`).join(", ");
    const common = once ? [make("p", { class: "facts" }, `The same in each event shown: ${once}.`)] : [];
    const head = make("tr", {}, make("th", {}, "time"), ...dimensions.map((name) => make("th", {}, name)), ...measures.map((name) => make("th", { class: "number" }, name)), make("th", {}, "id"), ...("reason" in same ? [] : [make("th", {}, "reason")]));
    const body = make("tbody");
    ev.t.forEach((seconds, n) => {
      const line = document.createElement("tr"), cell = (text, kind) => { const td = document.createElement("td"); td.textContent = text; if (kind) td.className = kind; line.append(td); };
      cell(new Date(begin + seconds * 1000).toISOString().slice(0, 19).replace("T", " "));
      for (const name of dimensions) cell(ev.d[name][n] < 0 ? "" : D.values[name][ev.d[name][n]]);
      for (const name of measures) cell(ev.m[name][n] === null ? "" : ev.m[name][n].toLocaleString("en-GB", { minimumFractionDigits: 2 }), "number");
      cell(ev.i[n]);
      if (!("reason" in same)) cell(lead.why.map((_, at) => at + 1).filter((at) => ev.w[n] & (1 << (at - 1))).join(", "));
      body.append(line);
    });
    return [told, ...common, make("div", { class: "table", tabindex: "0", role: "region", "aria-label": "Events" }, make("table", {}, make("thead", {}, head), body))];
  };

  // --- Verdicts ----------------------------------------------------------------------------------------------------
  const decide = (word) => {
    const lead = D.leads[now], who = el("reviewer").value.trim(), at = new Date();
    if (now < 0) return;
    if (!who) {
      document.body.classList.remove("reading");
      el("reviewer").focus();
      return tell("Write your name first: a verdict needs somebody who gave it.");
    }
    if (at < new Date(lead.a)) return tell("This window is not over by this computer's clock: a verdict has to come after it.");
    const again = wordOf(lead) === word;
    remember(lead, again ? { verdict: "", by: "", at: "" } : { verdict: word, by: who, at: at.toISOString() });
    rowOf(now).querySelector(".chip").replaceWith(chip(wordOf(lead)));
    for (const button of el("lead").querySelectorAll("[data-word]")) button.setAttribute("aria-pressed", String(button.dataset.word === wordOf(lead)));
    tell(`${lead.e}, ${lead.d}: ${wordOf(lead)}.`);
  };
  const quoted = (value) => `"${String(value ?? "").replace(/[\r\n]+/g, " ").replaceAll('"', '""')}"`;
  const csv = () => {
    const chance = !D.blind;
    const names = ["entity", "since", "as_of", "verdict", "reviewer", "reviewed_at", "note", ...(chance ? ["chance"] : []), "state"];
    const lines = [names.join(",")];
    for (const lead of D.leads) {
      const entry = said.get(keyOf(lead));
      if (!entry) continue;
      const word = entry.verdict === "unsure" ? "" : entry.verdict;
      const cells = [lead.e, lead.s, lead.a, word, entry.by, entry.at, entry.note, ...(chance ? [lead.c ?? 1] : []), entry.verdict || "open"];
      lines.push(cells.map(quoted).join(","));
    }
    return `${lines.join("\r\n")}\r\n`;
  };
  const save = () => {
    const link = make("a", { href: URL.createObjectURL(new Blob([csv()], { type: "text/csv" })), download: "review.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    unsaved = false;
    tell("review.csv is saved: hand it in with peculiar feedback.");
  };

  // --- Keys --------------------------------------------------------------------------------------------------------
  const KEYS = { j: () => step(1), k: () => step(-1), c: () => decide("confirmed"), x: () => decide("cleared"), u: () => decide("unsure"), s: save,
    n: () => { open(); el("note")?.focus(); }, "/": () => { document.body.classList.remove("reading"); el("q").focus(); }, "?": () => el("help").showModal() };
  const PLACES = { ArrowDown: () => step(1), ArrowUp: () => step(-1), Home: () => step(-D.leads.length), End: () => step(D.leads.length),
    PageDown: () => step(8), PageUp: () => step(-8), Enter: () => { open(); el("lead").querySelector("h2")?.focus(); } };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || el("help").open) return;
    if (event.key === "Escape") return back();
    if (event.target.matches("input, select, textarea")) return;
    const free = event.target === document.body || event.target === el("list");
    const act = KEYS[event.key] || (free && PLACES[event.key]);
    if (act) { event.preventDefault(); act(); }
  });

  // --- Begin -------------------------------------------------------------------------------------------------------
  const choices = (id, values) => el(id).append(...[...new Set(values)].filter(Boolean).sort().map((value) => make("option", { value }, value)));
  el("families").append(...Object.entries(D.families).flatMap(([name, line]) => [make("dt", {}, name), make("dd", {}, line)]));
  choices("family", D.leads.flatMap((lead) => lead.why.map((why) => why.f)));
  choices("day", D.leads.map((lead) => lead.d));
  choices("team", D.leads.map((lead) => lead.t));
  el("teams").hidden = !D.leads.some((lead) => lead.t);
  el("tools").addEventListener("input", filter);
  el("tools").addEventListener("submit", (event) => event.preventDefault());
  el("export").addEventListener("click", save);
  el("keys").addEventListener("click", () => el("help").showModal());
  let settled = 0;
  addEventListener("resize", () => { clearTimeout(settled); settled = setTimeout(() => { draw.done = -1; draw(); }, 120); });
  if (D.leads.length) filter(); else el("status").textContent = "There is nothing to check.";
})();
