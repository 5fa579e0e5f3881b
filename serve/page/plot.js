// Plotly, in a frame of its own: it writes functions and styles, which the page itself forbids. It is
// given numbers and colours only, no text of anybody. Five megabytes, so only when a plot is looked at.

let loading;

/** Loads it into a frame, once: { Plotly, element }, element being what it draws in. */
export function loadPlot(frame) {
  loading ??= new Promise((loaded, failed) => {
    frame.onload = () => {
      const { Plotly, document: inner } = frame.contentWindow;
      if (Plotly) return loaded({ Plotly, element: inner.getElementById("plot") });
      loading = undefined;
      failed(new Error("Plotly, which draws the map, did not load."));
    };
    frame.src = "plot.html";
  });
  return loading;
}
