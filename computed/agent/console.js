// Joins the page to the machine named by the token in the page's own address; noVNC does the rest.
import RFB from "/core/rfb.js";

const state = document.getElementById("state");
const given = new URLSearchParams(window.location.search);
const path = given.get("path") || `?token=${encodeURIComponent(given.get("token") || "")}`;
const token = new URLSearchParams(path.slice(path.indexOf("?"))).get("token") || "";
const scheme = window.location.protocol === "https:" ? "wss" : "ws";
const rfb = new RFB(
  document.getElementById("screen"),
  `${scheme}://${window.location.host}/vnc?token=${encodeURIComponent(token)}`,
  { wsProtocols: ["binary"] },
);
rfb.scaleViewport = true;
rfb.addEventListener("connect", () => { state.textContent = "connected"; });
rfb.addEventListener("disconnect", (event) => {
  state.textContent = event.detail.clean ? "disconnected" : "the console cannot be reached: ask for a new address";
});
document.getElementById("keys").addEventListener("click", () => rfb.sendCtrlAltDel());
