/** The whole screen; where a browser has no such thing for a part of a page, the whole window. */
async function turnFullScreen(root) {
  if (root.matches(":fullscreen")) {
    await document.exitFullscreen();
    return;
  }
  try {
    if (root.hasAttribute("data-maximised")) throw new Error("already maximised");
    await root.requestFullscreen();
  } catch {
    root.toggleAttribute("data-maximised");
  }
}
