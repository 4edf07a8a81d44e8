// An event opens below its row; a value opens what it leads to. Both are links of their own without scripts.
"use strict";
(() => {
  const piece = async (path) => {
    const answer = await fetch(`${path}&part=on`);
    if (!answer.ok || answer.redirected) throw new Error(answer.status);
    return answer.text();
  };
  const reveal = (within) => { for (const one of within.querySelectorAll("[data-script]")) one.hidden = false; };
  const shut = (link, opened) => { opened.remove(); link.setAttribute("aria-expanded", "false"); link.focus(); };

  const open = async (link, make) => {
    link.setAttribute("aria-expanded", "true");
    try {
      const opened = make(await piece(link.getAttribute("href")));
      reveal(opened);
      return opened;
    } catch {
      location.assign(link.href);  // the page of its own says what is wrong
      return null;
    }
  };

  const event_ = (link) => {
    const row = link.closest("tr");
    const next = row.nextElementSibling;
    if (next && next.classList.contains("opened")) return shut(link, next);
    return open(link, (html) => {
      const opened = document.createElement("tr"), cell = document.createElement("td");
      opened.className = "opened";
      cell.colSpan = row.cells.length;
      cell.innerHTML = html;
      opened.append(cell);
      row.after(opened);
      return opened;
    });
  };

  const value = async (link) => {
    const next = link.nextElementSibling;
    if (next && next.classList.contains("lead")) return shut(link, next);
    for (const other of document.querySelectorAll(".lead")) shut(other.previousElementSibling, other);
    const opened = await open(link, (html) => {
      const box = document.createElement("div");
      box.className = "lead";
      box.innerHTML = html;
      link.after(box);
      return box;
    });
    if (opened) { const first = opened.querySelector("a, button"); if (first) first.focus(); }
  };

  document.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.button) return;
    const link = event.target.closest("a[data-event], a[data-value]");
    if (!link) return;
    event.preventDefault();
    if (link.dataset.event !== undefined) event_(link); else value(link);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const opened = event.target.closest(".lead");
    if (opened) { event.preventDefault(); shut(opened.previousElementSibling, opened); }
  });
})();
