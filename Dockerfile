# The images of Events Proxy. Targets: `ingest`, `dispatcher`, and `events-proxy`, the demo, whose program is the simulators too. Each holds
# its one program and nothing else.
#
# Both bases are arguments, so that the same file is built where neither can be pulled: see infra/images/build.

# Where it is compiled: Rust, a C compiler, and a C library no newer than that of RUN_BASE.
ARG BUILD_BASE=docker.io/library/rust:1.95-slim-bookworm
# Where it runs: a C library, certificates, no shell, and the user 65532.
ARG RUN_BASE=gcr.io/distroless/cc-debian12:nonroot

# Every manifest, and of every crate just as much source as makes it compile. This stage gives the same files until a manifest changes.
# hadolint ignore=DL3006
FROM ${BUILD_BASE} AS manifests
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY crates crates
# The shell gets each name as a parameter, not in its text.
# hadolint ignore=SC2156
RUN find crates -type f ! -name Cargo.toml ! -path '*/src/lib.rs' ! -path '*/src/main.rs' ! -path '*/build.rs' \
      ! -path '*/tests/conformance/suite.rs' -delete \
    && find crates -type d -empty -delete \
    && find crates -name lib.rs -exec sh -c 'echo "//! Empty." > "$1"' _ {} \; \
    && find crates -name '*.rs' ! -name lib.rs -exec sh -c 'printf "//! Empty.\nfn main() { }\n" > "$1"' _ {} \; \
    && find . -exec touch -d @0 {} +

# hadolint ignore=DL3006
FROM ${BUILD_BASE} AS build
WORKDIR /src
ENV CARGO_TERM_COLOR=never
# First what others wrote: this layer lasts until a manifest changes.
COPY --from=manifests /src ./
RUN cargo build --release --locked --package ingest --package dispatcher --package local
# Then what we wrote. Cargo goes by times, and these files may be older than what was compiled in their place.
COPY . .
RUN find crates -name '*.rs' -exec touch {} + \
    && cargo build --release --locked --package ingest --package dispatcher --package local \
    && mkdir -p /out/data \
    && cp target/release/ingest target/release/dispatcher target/release/events-proxy /out/ \
    && strip /out/ingest /out/dispatcher /out/events-proxy

# hadolint ignore=DL3006
FROM ${RUN_BASE} AS ingest
COPY --from=build --chown=0:0 --chmod=0755 /out/ingest /usr/local/bin/ingest
# The spool: a volume belongs here, for it has to outlive the container.
COPY --from=build --chown=65532:65532 /out/data /var/lib/events-proxy
ENV DATA_DIR=/var/lib/events-proxy
USER 65532:65532
EXPOSE 4000 4100
ENTRYPOINT ["/usr/local/bin/ingest"]

# hadolint ignore=DL3006
FROM ${RUN_BASE} AS dispatcher
COPY --from=build --chown=0:0 --chmod=0755 /out/dispatcher /usr/local/bin/dispatcher
USER 65532:65532
EXPOSE 4200
ENTRYPOINT ["/usr/local/bin/dispatcher"]

# hadolint ignore=DL3006
FROM ${RUN_BASE} AS events-proxy
COPY --from=build --chown=0:0 --chmod=0755 /out/events-proxy /usr/local/bin/events-proxy
COPY --from=build --chown=65532:65532 /out/data /var/lib/events-proxy
ENV DATA_DIR=/var/lib/events-proxy
USER 65532:65532
EXPOSE 4000 4100
ENTRYPOINT ["/usr/local/bin/events-proxy"]
