// Answers that come while they are found: lines of JSON, each a piece of HTML and its place. Stopped by a button or Esc.
"use strict";
(() => {
  const at = (section, name) => section.querySelector(`[data-put="${name}"]`);
  const reveal = (within) => { for (const one of within.querySelectorAll("[data-script]")) one.hidden = false; };

  const place = (section, piece) => {
    if (piece.put !== undefined) {
      const there = at(section, piece.put);
      if (there) { there.innerHTML = piece.html; reveal(there); }
    } else if (piece.add !== undefined) {
      const there = at(section, piece.add);
      if (there) there.insertAdjacentHTML("beforeend", piece.html);
      const table = section.querySelector("[data-table]");
      if (table) table.hidden = false;
    }
  };

  const read = async (answer, hear) => {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let held = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (held + value).split("\n");
      held = lines.pop();
      for (const line of lines) if (line.trim()) hear(JSON.parse(line));
    }
  };

  const goings = new Map();

  const follow = async (section, path, options) => {
    const before = goings.get(section);
    if (before) before.abort();
    const stopping = new AbortController();
    goings.set(section, stopping);
    const going = section.querySelector("[data-going]"), said = section.querySelector("[data-said]");
    const bar = going.querySelector("progress"), told = going.querySelector("[data-told]"), stop = going.querySelector("[data-stop]");
    bar.removeAttribute("value");
    bar.hidden = stop.hidden = false;
    told.textContent = "";
    going.hidden = false;
    said.textContent = said.dataset.begun;
    let hasEnded = false, hasFailed = false;
    const after = section.querySelector("[data-after]");
    if (after) after.hidden = false;
    try {
      const answer = await fetch(path, { ...options, signal: stopping.signal, headers: { Accept: "application/x-ndjson" } });
      if (answer.redirected || !(answer.headers.get("content-type") || "").includes("ndjson")) throw new Error(answer.status);
      await read(answer, (piece) => {
        if (piece.text !== undefined) told.textContent = piece.text;
        if (piece.share !== undefined) bar.value = piece.share;
        if (piece.put === "end") hasEnded = true;
        if (piece.failed) hasFailed = true;
        place(section, piece);
      });
      said.textContent = hasFailed ? said.dataset.failed : hasEnded ? said.dataset.ended : said.dataset.lost;
      if (after) after.hidden = hasFailed;  // of what is not there nothing can be had
      if (hasEnded) going.hidden = true;
      else told.textContent = said.dataset.lost;
    } catch {
      if (goings.get(section) !== stopping) return;
      said.textContent = told.textContent = stopping.signal.aborted ? said.dataset.stopped : said.dataset.lost;
    }
    bar.hidden = stop.hidden = true;
    goings.delete(section);
  };

  const halt = () => {
    const some = [...goings.values()];
    for (const one of some) one.abort();
    return some.length > 0;
  };

  document.addEventListener("click", (event) => { if (event.target.closest("[data-stop]")) halt(); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented && !document.querySelector("dialog[open]")) halt();
  });
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-posts]");
    if (!form) return;
    event.preventDefault();
    const section = document.getElementById(form.dataset.fills);
    section.hidden = false;
    for (const one of section.querySelectorAll("[data-put]")) one.replaceChildren();
    follow(section, form.dataset.posts, { method: "POST", body: new URLSearchParams(new FormData(form)) });
  });
  addEventListener("pagehide", halt);

  for (const section of document.querySelectorAll("[data-stream]")) {
    if (section.dataset.stream) follow(section, section.dataset.stream, {});
    if (section.dataset.counts) {
      fetch(section.dataset.counts).then((answer) => read(answer, (piece) => place(section, piece))).catch(() => {});
    }
  }
})();
