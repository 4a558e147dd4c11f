// A page has a title of its own, and its link says that it is the one that is shown.
window.dash_clientside = Object.assign({}, window.dash_clientside, {
  pages: {
    name: (path) => {
      for (const link of document.querySelectorAll("header nav a")) {
        const shown = link.pathname === path;
        if (shown) document.title = `${link.textContent} · Breakwater`;
        link.toggleAttribute("aria-current", shown);
        if (shown) link.setAttribute("aria-current", "page");
      }
    },
  },
});
