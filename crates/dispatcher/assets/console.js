// Keeps a page's live part up to date: the server sends the part as HTML, once a second, as long as the page is seen.
"use strict";
const live = document.querySelector("[data-live]");
if (live) {
  const status = document.querySelector("[data-live-status]");
  let source = null;
  const tell = (text) => { if (status) status.textContent = text; };
  const open = () => {
    if (source) return;
    source = new EventSource(live.dataset.live);
    source.onopen = () => tell("live");
    source.onmessage = (event) => { live.innerHTML = event.data; };
    source.onerror = () => { tell("not connected; trying again"); };
  };
  const close = () => { if (source) { source.close(); source = null; tell("paused"); } };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  open();
}
for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => { if (!window.confirm(form.dataset.confirm)) event.preventDefault(); });
}
