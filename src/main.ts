#!/usr/bin/env node
import { runProgram } from "./commands/program.ts";

// Whoever reads our output may stop reading (`| head`): no reason to say anything.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

process.exitCode = await runProgram(process.argv.slice(2), {
  out: (text) => {
    process.stdout.write(text);
  },
  err: (text) => {
    process.stderr.write(text);
  },
});
