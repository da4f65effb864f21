// A client for the tests: `node flood.ts HOST PORT PER_SECOND`. Opens connections and holds them, until it is killed. Says
// once a second how many it has.
import { connect } from "node:net";

const [host = "", port = "", perSecond = ""] = process.argv.slice(2);
const TURNS = 10; // a second

let opened = 0;
setInterval(() => {
  for (let i = 0; i < Number(perSecond) / TURNS; i++)
    connect(Number(port), host)
      .on("connect", () => (opened += 1))
      .on("error", () => undefined); // a connection that waited for too long is not opened again
}, 1000 / TURNS);
setInterval(() => {
  console.log(opened);
}, 1000);
