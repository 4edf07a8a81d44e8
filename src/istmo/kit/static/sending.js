// What becomes of what was sent: a form goes once however often its button is pressed, and a failure is said.
"use strict";
(() => {
  const AGAIN = 15000;  // after so long a form may go once more: what came of it may have been a file
  const box = document.getElementById("failed");

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || (event.submitter && event.submitter.formMethod || form.method) !== "post" || form.hasAttribute("hx-post")) return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    form.setAttribute("aria-busy", "true");
    setTimeout(() => again(form), AGAIN);
  });
  const again = (form) => { delete form.dataset.sent; form.removeAttribute("aria-busy"); };
  // The way back in a browser shows the page as it was left.
  addEventListener("pageshow", () => { for (const form of document.querySelectorAll("form[data-sent]")) again(form); });

  if (!box) return;
  const say = (text, isEnded) => {
    const told = box.querySelector("p");
    told.textContent = text;
    const link = box.querySelector("a");
    link.hidden = !isEnded;
    link.href = `/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`;
    box.hidden = false;
  };
  const words = (answer) => {
    const main = new DOMParser().parseFromString(answer, "text/html").querySelector("main");
    return main ? [...main.querySelectorAll("h1, h1 + p")].map((one) => one.textContent.trim()).join(" ") : "";
  };
  document.addEventListener("htmx:afterRequest", (event) => {
    const { xhr, successful, requestConfig } = event.detail;
    const isWork = requestConfig && requestConfig.verb !== "get";
    if (successful || [409, 422].includes(xhr.status)) { if (successful) box.hidden = true; return; }
    if (xhr.status === 401) say(box.dataset.ended, true);
    else if (isWork) say((xhr.status && words(xhr.responseText)) || box.dataset.unreached, false);
  });
  // A page that is told of no more changes looks like one in which nothing happens.
  document.addEventListener("istmo:deaf", (event) => say(event.detail.isEnded ? box.dataset.ended : box.dataset.deaf, event.detail.isEnded));
  document.addEventListener("istmo:hears", () => { box.hidden = true; });
})();
