// Asks the webhook at $WEBHOOK about a pod without annotations, as the API server asks, but without checking the certificate: its CA is known
// to the API server alone. Exit code 0: the review was answered, and the pod let through.
import console from "node:console";
import { request } from "node:https";
import process from "node:process";

const uid = "helm-test";
const resource = { group: "", version: "v1", resource: "pods" };
const object = { apiVersion: "v1", kind: "Pod", metadata: { name: uid }, spec: { containers: [] } };
const review = {
  apiVersion: "admission.k8s.io/v1",
  kind: "AdmissionReview",
  request: { uid, resource, namespace: "default", operation: "CREATE", dryRun: true, object },
};
const end = (code, message) => {
  console.log(message);
  process.exit(code);
};
const headers = { "content-type": "application/json" };
const options = { method: "POST", headers, rejectUnauthorized: false, timeout: 10_000 };
const sent = request(process.env.WEBHOOK + "/mutate?timeout=10s", options, async (answer) => {
  let text = "";
  for await (const chunk of answer) text += chunk;
  if (answer.statusCode !== 200) return end(1, "the webhook answered " + answer.statusCode + ": " + text);
  const { response } = JSON.parse(text);
  if (response.uid !== uid || response.allowed !== true) return end(1, "not the answer to the review: " + text);
  return end(0, "the webhook answers at " + process.env.WEBHOOK);
});
sent.on("timeout", () => end(1, "no answer within 10 s from " + process.env.WEBHOOK));
sent.on("error", (error) => end(1, process.env.WEBHOOK + ": " + error.message));
sent.end(JSON.stringify(review));
