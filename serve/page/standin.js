// Before the scripts of Neuroglancer's client: stands in for the Python server that it was built for.
// The page drives the client through window.viewer, so there is nothing for that server to say, and a
// stream of events would hold one of the few connections that a browser opens to a host.

window.EventSource = class {
  constructor() {
    setTimeout(() => this.onopen?.());
  }

  close() {}
};
// The state stays out of the address: it is written at every move, and the page has an address of its own.
window.history.replaceState = () => {};
