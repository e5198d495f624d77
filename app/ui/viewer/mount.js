// What Streamlit calls: once when the component appears, and after every rerun.

const mounted = new WeakMap();

export default function mount({ parentElement, data, setStateValue }) {
  const root = parentElement.querySelector(".ddad-viewer");
  let viewer = mounted.get(parentElement);
  if (viewer?.root !== root) {
    viewer?.close();
    viewer = new Viewer(root);
    mounted.set(parentElement, viewer);
  }
  viewer.send = (view) => setStateValue("view", view);
  viewer.sendWants = (wants) => setStateValue("wants", wants);
  viewer.loader.receive(data);
  // Streamlit also runs the clean-up of a call that a later call overtook; only the latest
  // call's clean-up means that the component is gone.
  const call = {};
  viewer.latestCall = call;
  return () => {
    if (viewer.latestCall !== call) return;
    viewer.close();
    mounted.delete(parentElement);
  };
}
