// A private server for the tests: `node target.ts HOST PORT NAME`. It greets with its name and sends back its input. It
// answers a half-close after a while, as a server that still works on the last request.
import { createServer } from "node:net";

const [host = "", port = "", name = ""] = process.argv.slice(2);
const server = createServer({ allowHalfOpen: true }, (socket) => {
  socket.on("error", () => socket.destroy());
  socket.write(`${name}\n`);
  socket.on("data", (data) => socket.write(data));
  socket.on("end", () => setTimeout(() => socket.end("late\n"), 2_000));
});
server.listen({ host, port: Number(port), backlog: 1024 }, () => {
  console.log("listening");
});
