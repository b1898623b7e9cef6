// Before the page's own script, which browsers that are too old do not even understand.

if (!window.BigInt || !window.TextDecoder || !window.crypto) {
  document.getElementById("old").hidden = false;
  document.getElementById("busy").hidden = true;
}
