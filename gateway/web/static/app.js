// Makes pages livelier where scripts run; every page works without.
(function () {
  "use strict";
  var me = document.currentScript;
  document.cookie = "citygate-scripts=1;path=/;max-age=31536000;samesite=lax";
  function load(address) {
    if (!address) return;
    var script = document.createElement("script");
    script.src = address;
    document.head.appendChild(script);
  }
  load(me.dataset.bridge);
  // htmx begins by itself only where the page has come completely, or not yet at all.
  if (document.querySelector("[hx-get],[hx-post]")) {
    window.addEventListener("load", function () { load(me.dataset.htmx); });
  }
  // A form is handed in once, however often the button is pressed.
  document.addEventListener("submit", function (event) {
    var form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
  });
  // Reading aloud, where she has switched it on and the device can.
  var label = document.documentElement.dataset.speech;
  function aloud() {
    document.querySelectorAll("[data-speak]:not([data-heard])").forEach(function (card) {
      var button = document.createElement("button");
      button.type = "button";
      button.className = "button button--second";
      button.textContent = label;
      button.onclick = function () {
        speechSynthesis.cancel();
        var said = new SpeechSynthesisUtterance(card.dataset.speak);
        said.lang = document.documentElement.lang;
        speechSynthesis.speak(said);
      };
      card.dataset.heard = "";
      card.appendChild(button);
    });
  }
  if (label && window.speechSynthesis) {
    aloud();
    document.addEventListener("htmx:oobAfterSwap", aloud);
  }
  window.addEventListener("pageshow", function (event) {
    if (!event.persisted) return;
    // Back from a department: what the browser kept may be old, so ask again.
    if (document.querySelector("[data-fresh]")) location.reload();
    document.querySelectorAll("form[data-sent]").forEach(function (form) { delete form.dataset.sent; });
  });
})();
