# syntax=docker/dockerfile:1
# docker build -t ghcr.io/connve/flowgen-gateway-webhook:0.1.0 .
#
# Two bases, both Debian 12, both to be pinned by digest in a release: look them up with
#   docker buildx imagetools inspect --format '{{.Manifest.Digest}}' node:24.21.0-bookworm-slim
# and pass --build-arg NODE_IMAGE=node@sha256:… --build-arg BASE_IMAGE=gcr.io/distroless/cc-debian12@sha256:… . With the bases
# pinned, SOURCE_DATE_EPOCH=0 and --output type=image,rewrite-timestamp=true, all but the compile cache is the same byte for byte.
ARG NODE_IMAGE=node:24.21.0-bookworm-slim
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY build.ts ./
COPY src src
COPY examples examples
COPY deploy/image deploy/image
RUN node build.ts
# Node keeps a compile cache by its own version, the files' paths and the user: so by the Node, the folder and the user that will run.
RUN mkdir /app/compile-cache && chown 65532 /app/compile-cache
USER 65532
RUN NODE_COMPILE_CACHE=/app/compile-cache node deploy/image/fill-compile-cache.ts

# No shell and no package manager: Node, the bundle, and the C libraries that Node asks for.
FROM ${BASE_IMAGE}
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY --from=build /app/dist /app/dist
COPY --from=build /app/compile-cache /app/compile-cache
COPY examples /app/examples
COPY LICENSE /app/
ENV NODE_ENV=production NODE_COMPILE_CACHE=/app/compile-cache
WORKDIR /app
USER 65532:65532
EXPOSE 10250 9090
ENTRYPOINT ["/usr/local/bin/node", "/app/dist/main.js"]
CMD ["serve"]
