# The agent as one static file in an empty image, for linux/amd64 and linux/arm64:
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg REVISION="$(git rev-parse --short=12 HEAD)" .
# With a binary that is built already, in DIR/out: buildah bud --build-context build=DIR .
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
ARG REVISION=unknown
# --target keeps the flag from the macros' own libraries, which are loaded and can't be static.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    target="$(rustc --print host-tuple)" \
 && RUSTFLAGS='-C target-feature=+crt-static' HUGETLB_EXPORTER_REVISION="$REVISION" \
    cargo build --release --locked --target "$target" \
 && install -D "target/$target/release/hugetlb-exporter" /out/hugetlb-exporter

FROM scratch
ARG VERSION=0.2.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="hugetlb-exporter" \
      org.opencontainers.image.source="https://github.com/hugetlb-exporter/hugetlb-exporter" \
      org.opencontainers.image.description="Kubernetes node agent that shows huge pages of nodes and pods, and what will crash" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /out/hugetlb-exporter /hugetlb-exporter
# A uid of its own: inotify instances are counted by uid over the whole node, and nobody's are shared.
USER 10270:10270
# One heap for all threads, as they are short-lived and seldom many: glibc gives each its own, and each keeps some memory.
ENV MALLOC_ARENA_MAX=1
# For demo, too: the container's network decides who sees it.
ENV HUGETLB_EXPORTER_WEB_LISTEN_ADDRESS=:10270
EXPOSE 10270
ENTRYPOINT ["/hugetlb-exporter"]
