// Keeps a page's live part up to date: the server sends the part as HTML, once a second, as long as the page is seen.
"use strict";

// Makes a node of the page equal to a fresh one and touches only what differs: the focus stays, and a screen reader hears
// what changed.
const follow = (old, fresh) => {
  if (old.nodeName !== fresh.nodeName) { old.replaceWith(fresh); return; }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const [was, is] = [[...old.childNodes], [...fresh.childNodes]];
  if (was.length !== is.length) { old.replaceChildren(...is); return; }
  was.forEach((child, place) => follow(child, is[place]));
};

const live = document.querySelector("[data-live]");
if (live) {
  const status = document.querySelector("[data-live-status]");
  let source = null;
  const tell = (text, state) => { if (status) { status.textContent = text; status.className = state; } };
  const open = () => {
    if (source) return;
    source = new EventSource(live.dataset.live);
    source.onopen = () => tell("live", "on");
    source.onmessage = (event) => {
      const fresh = live.cloneNode(false);
      fresh.innerHTML = event.data;
      follow(live, fresh);
    };
    source.onerror = () => tell("not connected; trying again", "off");
  };
  const close = () => { if (source) { source.close(); source = null; tell("paused", "off"); } };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  open();
}

document.addEventListener("submit", (event) => {
  const ask = event.target.dataset.confirm;
  if (ask && !window.confirm(ask)) event.preventDefault();
});
