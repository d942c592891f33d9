// <service-card src="https://…/embed/cards/gjj"><a href="https://…/s/gjj">…</a></service-card>
// Puts the public card of a service into an article. Without scripts the link inside stays.
(function () {
  "use strict";
  if (!window.customElements || customElements.get("service-card")) return;
  var sheet = document.currentScript && document.currentScript.dataset.sheet;

  function add(parent, tag, name, text) {
    var element = document.createElement(tag);
    if (name) element.className = name;
    if (text) element.textContent = text;
    parent.appendChild(element);
    return element;
  }

  function web(address) {
    var parsed = new URL(address, location.href);
    return parsed.protocol === "https:" || parsed.protocol === "http:" ? parsed.href : "";
  }

  function draw(root, card) {
    if (sheet) {
      var link = add(root, "link");
      link.rel = "stylesheet";
      link.href = sheet;
    }
    var box = add(root, "article", "card");
    add(box, "h3", "", card.name);
    add(box, "p", "dept", card.department);
    add(box, "p", "said", card.facts.length || card.items.length ? "" : card.summary);
    var facts = add(box, "dl", "facts");
    card.facts.forEach(function (fact) {
      var row = add(facts, "div");
      add(row, "dt", "", fact.label);
      add(row, "dd", "", fact.value);
    });
    var rows = add(box, "ul", "rows");
    card.items.forEach(function (item) {
      var row = add(rows, "li");
      add(row, "span", "", item.title);
      add(row, "small", "", item.when);
    });
    var foot = add(box, "div", "card-foot");
    add(foot, "p", "asof", card.updated || card.official);
    add(foot, "a", "button", card.label).href = web(card.address);
  }

  class ServiceCard extends HTMLElement {
    connectedCallback() {
      var address = web(this.getAttribute("src") || "");
      if (!address || this.shadowRoot) return;
      var self = this;
      fetch(address, { credentials: "omit", headers: { accept: "application/json" } })
        .then(function (answer) { return answer.ok ? answer.json() : null; })
        .then(function (card) { if (card) draw(self.attachShadow({ mode: "open" }), card); })
        .catch(function () { /* the link inside stays */ });
    }
  }
  customElements.define("service-card", ServiceCard);
})();
