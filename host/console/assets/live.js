// Keeps the page up to date: a stream of events says that something has changed, and the parts of
// the page whose ids begin with "live-" are read again from the server. Everything works without.
(() => {
  "use strict";
  const AT_MOST_EVERY = 1500;
  const { events } = document.body.dataset;
  const sign = document.querySelector(".live");
  let last = 0;
  let timer = 0;

  const isBusy = (part) => {
    const chosen = document.getSelection();
    const marks = chosen && !chosen.isCollapsed && part.contains(chosen.anchorNode);
    return marks || part.contains(document.activeElement) || part.querySelector("details[open]");
  };

  const refresh = async () => {
    timer = 0;
    last = Date.now();
    let fresh;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (!answer.ok || answer.redirected) return;
      fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    } catch {
      return;
    }
    for (const part of document.querySelectorAll("[id^=live-]")) {
      const other = fresh.getElementById(part.id);
      // What somebody reads or uses at the moment stays.
      if (!other || isBusy(part) || other.outerHTML === part.outerHTML) continue;
      part.replaceWith(other);
    }
    follow();
  };

  const soon = () => {
    if (timer || document.hidden) return;
    timer = setTimeout(refresh, Math.max(0, last + AT_MOST_EVERY - Date.now()));
  };

  // Something goes on that no event tells of.
  const follow = () => {
    if (document.querySelector("[data-again]")) soon();
  };
  follow();

  if (events && window.EventSource) {
    let stream;
    const live = (is) => {
      sign.hidden = false;
      sign.classList.toggle("off", !is);
      sign.textContent = is ? "live" : "not live";
    };
    let hasEnded = false;
    // A browser has few connections to a server: a page that nobody sees keeps none of them.
    const listen = () => {
      if (stream) stream.close();
      stream = undefined;
      if (document.hidden || hasEnded) return;
      stream = new EventSource(events);
      stream.onopen = () => live(true);
      stream.onerror = () => live(false);
      for (const kind of ["progress", "state"]) stream.addEventListener(kind, soon);
      for (const kind of ["end", "erased"]) {
        stream.addEventListener(kind, () => {
          hasEnded = true;
          soon();
          listen();
          sign.hidden = true;
        });
      }
    };
    listen();
    document.addEventListener("visibilitychange", () => {
      listen();
      soon();
    });
  }

  for (const button of document.querySelectorAll("[data-copy]")) {
    if (!navigator.clipboard) break;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = await (await fetch(button.dataset.copy)).text();
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    });
  }

  // "/" leads to the search, as in many tools.
  const search = document.querySelector("[data-slash]");

  // Completes the word that is typed, behind those before it.
  const words = search?.list ? Array.from(search.list.options, (option) => option.value) : [];
  if (words.length > 0) {
    search.addEventListener("input", () => {
      const before = search.value.slice(0, search.value.lastIndexOf(" ") + 1);
      search.list.replaceChildren(...words.map((word) => new Option("", before + word)));
    });
  }

  document.addEventListener("keydown", (event) => {
    const { tagName } = document.activeElement ?? {};
    if (event.key !== "/" || !search || ["INPUT", "SELECT", "TEXTAREA"].includes(tagName)) return;
    event.preventDefault();
    search.focus();
  });
})();
