// Copying, and what only scripts can do is shown only where there are scripts.
"use strict";
(() => {
  const reveal = (within) => { for (const element of within.querySelectorAll("[data-script]")) element.hidden = false; };

  document.addEventListener("click", async (event) => {
    const copier = event.target.closest("[data-copy]");
    if (!copier || copier.dataset.before) return;
    try {
      await navigator.clipboard.writeText(copier.dataset.copy);
    } catch {
      return;
    }
    copier.dataset.before = copier.textContent;
    copier.textContent = copier.dataset.copied;
    setTimeout(() => { copier.textContent = copier.dataset.before; delete copier.dataset.before; }, 1500);
  });

  reveal(document);
  document.addEventListener("htmx:afterSwap", () => reveal(document));
})();
