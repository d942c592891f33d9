// Speaks to the host app where it offers something; nothing on a page depends on it.
(function () {
  "use strict";
  var host = window.CitygateHost;
  if (!host) return;
  function able(name) { return typeof host[name] === "function"; }
  var root = document.documentElement;
  var scale = Number(host.fontScale);
  var step = scale >= 1.7 ? 4 : scale >= 1.35 ? 3 : scale >= 1.1 ? 2 : 1;
  if (step > Number(root.dataset.size)) root.dataset.size = String(step);
  if (able("setTitle")) host.setTitle(document.title);
  document.addEventListener("click", function (event) {
    var link = event.target.closest ? event.target.closest("a[href]") : null;
    if (!link) return;
    if (link.protocol === "tel:" && able("call")) {
      event.preventDefault();
      host.call(link.getAttribute("href").slice(4));
    } else if (link.hasAttribute("data-close") && able("close")) {
      event.preventDefault();
      host.close();
    }
  });
})();
