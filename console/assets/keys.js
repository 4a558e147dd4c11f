// A moderator's hands stay on the keyboard: a key clicks the button that shows it.
const BUTTONS = {a: "allow", b: "block", s: "skip", u: "undo", v: "uncover"};

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=radio]), textarea, select");
  if (typing || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const category = document.querySelectorAll("#category input")[Number(event.key) - 1];
  (category || document.getElementById(BUTTONS[event.key.toLowerCase()]))?.click();
});

// Covering and uncovering is the browser's own business; the server never hears of it.
document.addEventListener("click", (event) => {
  const button = event.target.closest("#uncover");
  if (!button) return;
  const uncovered = button.parentElement.classList.toggle("uncovered");
  button.setAttribute("aria-pressed", uncovered);
  document.getElementById("text").setAttribute("aria-hidden", !uncovered);
});
