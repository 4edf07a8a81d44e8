// The queue of alerts: without a box ticked a button is about the row that the keys speak of; ticks outlive a live refresh.
"use strict";
(() => {
  const boxes = () => [...document.querySelectorAll('#triage input[name="pick"]')];
  const about = (box) => box.closest("[data-row]").id;
  const rows = () => [...document.querySelectorAll("#triage [data-row]")];
  let current = "";   // the row that the keys speak of
  let isGone = false; // what was ticked has left the queue by somebody else's hand: nothing else is meant in its place
  let worked = null;  // the rows that were there when something was done, and the one it was done to

  document.addEventListener("focusin", (event) => {
    const row = event.target.closest("#triage [data-row]");
    if (row) current = row.id;
  });

  document.addEventListener("change", (event) => { if (event.target.name === "pick") isGone = false; });
  document.addEventListener("keydown", (event) => { if (event.key === "j" || event.key === "k") isGone = false; });

  // Before htmx or the browser collects the form.
  document.addEventListener("submit", (event) => {
    if (event.target.id !== "triage") return;
    const ticked = boxes().filter((box) => box.checked && box.dataset.meant === undefined);
    const row = isGone ? null : current ? document.getElementById(current) : rows()[0];
    isGone = false;
    letGo();
    const box = !ticked.length && row && row.querySelector('input[name="pick"]');
    if (box) { box.checked = true; box.dataset.meant = ""; }
    worked = { order: rows().map((one) => one.id), at: row ? row.id : "" };
  }, true);

  // A row that a failed request was about is meant by nothing that is pressed later.
  const letGo = () => {
    for (const box of boxes()) if (box.dataset.meant !== undefined) { box.checked = false; delete box.dataset.meant; }
  };
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful || [409, 422].includes(event.detail.xhr.status)) return;
    letGo();
    worked = null;
  });

  // One menu at a time; Escape closes it and goes back to its row.
  const menus = () => [...document.querySelectorAll("details[data-menu]")];
  document.addEventListener("toggle", (event) => {
    if (event.target.matches("details[data-menu]") && event.target.open) {
      for (const menu of menus()) if (menu !== event.target) menu.open = false;
    }
  }, true);
  document.addEventListener("keydown", (event) => {
    const open = menus().filter((menu) => menu.open);
    if (event.key !== "Escape" || !open.length) return;
    for (const menu of open) menu.open = false;
    const link = document.querySelector(`#${CSS.escape(current || "triage")} a`);
    if (link) link.focus();
  });

  let ticks = [];
  document.addEventListener("htmx:beforeSwap", (event) => {
    if ([409, 422].includes(event.detail.xhr.status)) event.detail.shouldSwap = true;  // the page says what is wrong
    ticks = worked ? [] : boxes().filter((box) => box.checked && box.dataset.meant === undefined).map(about);
  });
  document.addEventListener("htmx:afterSettle", () => {
    for (const box of boxes()) if (ticks.includes(about(box))) box.checked = true;
    if (ticks.length && !boxes().some((box) => box.checked)) isGone = true;
    ticks = [];
    if (!worked) return;
    const { order, at } = worked;
    worked = null;
    const there = new Set(rows().map((one) => one.id));
    const place = order.indexOf(at);
    const next = order.slice(place + 1).find((id) => there.has(id)) || order.slice(0, place + 1).reverse().find((id) => there.has(id));
    const link = document.querySelector(next ? `#${CSS.escape(next)} a` : "#triage [data-row] a");
    if (link) link.focus();
  });
})();
