# syntax=docker/dockerfile:1
# docker build -t ghcr.io/connve/flowgen-gateway-webhook:0.1.0 .
# For both architectures: docker buildx build --platform linux/amd64,linux/arm64 … (the compile cache is made for each).
# As a command: docker run --rm -i IMAGE audit -f - --config /app/examples/webhook-config.yaml <manifests.yaml
#
# Two bases, both Debian 12, both to be pinned by digest in a release: look them up with
#   docker buildx imagetools inspect --format '{{.Manifest.Digest}}' node:24.21.0-bookworm-slim
# and pass --build-arg NODE_IMAGE=node@sha256:… --build-arg BASE_IMAGE=gcr.io/distroless/cc-debian12@sha256:… . With the bases
# pinned, SOURCE_DATE_EPOCH=0 and --output type=image,rewrite-timestamp=true, all but the compile cache is the same byte for byte.
ARG NODE_IMAGE=node:24.21.0-bookworm-slim
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot

# The bundle is the same for each architecture, so it is made without emulation.
FROM --platform=$BUILDPLATFORM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY build.ts bundle.ts ./
COPY src src
COPY examples examples
RUN node build.ts && mkdir compile-cache && chown 65532 compile-cache

# Node keeps a compile cache by its own version, the files' paths and the user: so by the Node, the folder and the user that will run.
# The program keeps one of its scripts there (src/scripts.ts).
FROM ${NODE_IMAGE} AS cache
WORKDIR /app
COPY --from=build /app/dist dist
COPY --from=build /app/compile-cache compile-cache
COPY examples examples
COPY deploy/image deploy/image
USER 65532
RUN NODE_COMPILE_CACHE=/app/compile-cache node --min-semi-space-size=16 deploy/image/fill-compile-cache.ts

# No shell and no package manager: Node, the bundle, and the C libraries that Node asks for.
FROM ${BASE_IMAGE}
COPY --from=cache /usr/local/bin/node /usr/local/bin/node
COPY --from=build /app/dist /app/dist
COPY --from=cache /app/compile-cache /app/compile-cache
COPY examples /app/examples
COPY LICENSE /app/
ENV NODE_ENV=production NODE_COMPILE_CACHE=/app/compile-cache
WORKDIR /app
USER 65532:65532
EXPOSE 10250 9090
# The space of young objects begins at 16 MiB: at the usual 1 it is cleared a dozen times until the first answer.
ENTRYPOINT ["/usr/local/bin/node", "--min-semi-space-size=16", "/app/dist/main.js"]
CMD ["serve"]
