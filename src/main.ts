#!/usr/bin/env node
import { runProgram } from "./commands/program/program.ts";

// A reader of the output may stop reading (`| head`): no reason to say anything.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

// npm runs a script in the package's folder; paths are the caller's.
const { npm_lifecycle_event: script, INIT_CWD: folder } = process.env;
if (script === "flowgen-gateway" && folder !== undefined) process.chdir(folder);

/** Resolves when the text is on its way: a slow reader slows the program, and does not fill its memory. */
const writer = (stream: NodeJS.WriteStream) => (text: string) =>
  new Promise<void>((resolve) => {
    stream.write(text, () => {
      resolve();
    });
  });

const isColoured = (stream: NodeJS.WriteStream): boolean => stream.isTTY && stream.hasColors();

process.exitCode = await runProgram(process.argv.slice(2), {
  out: writer(process.stdout),
  err: writer(process.stderr),
  colours: { out: isColoured(process.stdout), err: isColoured(process.stderr) },
  isWatched: process.stderr.isTTY,
});
